"""Writes the output in pieces, with reproducible bytes."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import pyarrow as pa

from scoring.writers import csv, json_lines, parquet

Format = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)

_FLUSH_BYTES = 32 << 20

_ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_WRITERS: dict[Format, Callable[[Iterator[pa.RecordBatch], BinaryIO, pa.Schema], None]] = {
    "parquet": parquet.write,
    "csv": csv.write,
    "jsonl": json_lines.write,
}


def format_of(output: Path) -> Format | None:
    """The format for the ending of a name; None for an unknown ending."""
    return _ENDINGS.get(output.suffix.lower())


def write_table(
    batches: Iterable[pa.RecordBatch], path: Path, format_: Format, schema: pa.Schema, metadata: Mapping[str, str]
) -> None:
    """Write the table to `path` and flush it to the disk: the same batches give the same bytes.

    Of the batches the columns of `schema` are taken. `metadata` goes into the schema of Parquet. Raises
    `OSError`, that of a full disk among them.
    """
    schema = schema.with_metadata(dict(metadata))
    with path.open("wb") as file:
        _WRITERS[format_](_flushing(batches, file, schema), file, schema)
        file.flush()
        os.fsync(file.fileno())


def _flushing(batches: Iterable[pa.RecordBatch], file: BinaryIO, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The columns of `schema`; written bytes are flushed to the disk regularly rather than all at the end."""
    flushed = 0
    for batch in batches:
        if file.tell() - flushed >= _FLUSH_BYTES:
            flushed = file.tell()
            file.flush()
            os.fsync(file.fileno())
        yield batch.select(schema.names)
