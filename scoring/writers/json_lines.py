"""JSON lines: an object for each row, with the columns as its keys."""

import json
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc


def write(batches: Iterator[pa.RecordBatch], file: BinaryIO, schema: pa.Schema) -> None:
    """A line for each row; Arrow joins the texts of all rows at once."""
    for batch in batches:
        pieces: list[pa.Scalar | pa.Array] = []
        for place, name in enumerate(schema.names):
            pieces += [pa.scalar(f"{', ' if place else '{'}{json.dumps(name)}: "), _texts(batch.column(name))]
        lines = pc.binary_join_element_wise(*pieces, pa.scalar("}\n"), "")
        for chunk in lines.chunks if isinstance(lines, pa.ChunkedArray) else [lines]:
            _, _, text = chunk.buffers()
            if text is not None:
                file.write(text)


def _texts(column: pa.Array) -> pa.Array:
    """Each value as JSON."""
    if pa.types.is_string(column.type):
        if column.null_count == len(column):
            return pa.scalar("null")
        return pa.array([json.dumps(value, ensure_ascii=False) for value in column.to_pylist()], pa.string())
    return column.cast(pa.string()).fill_null("null")
