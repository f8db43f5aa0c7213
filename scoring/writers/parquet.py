"""Parquet, with the model's identity in the metadata of its schema."""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 131_072
"""Minimum rows of a row group, except for the last one."""


def write(batches: Iterator[pa.RecordBatch], file: BinaryIO, schema: pa.Schema) -> None:
    """Row groups of whole batches."""
    # Scores hardly compress, few are equal, and statistics of their ranges are not useful.
    with pq.ParquetWriter(
        file, schema, compression="none", use_dictionary=["warnings", "error"], write_statistics=["id"]
    ) as writer:
        group: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches:
            group.append(batch)
            rows += len(batch)
            if rows >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(group, schema), row_group_size=rows)
                group, rows = [], 0
        if group:
            writer.write_table(pa.Table.from_batches(group, schema), row_group_size=rows)
