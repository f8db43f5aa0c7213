"""CSV with a header. Null is empty, and a float is the shortest text of the same float32."""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pc


def write(batches: Iterator[pa.RecordBatch], file: BinaryIO, schema: pa.Schema) -> None:
    """A line for each row."""
    with pc.CSVWriter(file, schema, write_options=pc.WriteOptions(batch_size=16_384)) as writer:
        for batch in batches:
            writer.write_batch(batch)
