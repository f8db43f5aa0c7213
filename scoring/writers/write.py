"""The writer for each format."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)


def format_of(output: Path) -> Format | None:
    """The format that the name's ending tells; None for an unknown one."""
    raise NotImplementedError


def write_table(
    batches: Iterable[pa.RecordBatch], path: Path, format_: Format, schema: pa.Schema, metadata: Mapping[str, str]
) -> None:
    """Write the table to `path` and have it on the disk: the same rows give the same bytes.

    `metadata` goes into the schema of Parquet. Raises `OSError`, that of a full disk among them.
    """
    raise NotImplementedError
