"""Parquet: a column for each pixel, or one of lists, of raw bytes or of image files.

A column of raw bytes is the fastest: its rows are views of the file.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imaging.pixels import ImageWarning
from scoring.chunk import UNKNOWN, InputError, RowError, Shape
from scoring.readers import fingerprint
from scoring.readers.images.decoding import Decoder
from scoring.readers.labels.labels import Labels
from scoring.readers.reader import Block, Wanted
from scoring.readers.tables.arrow_storage import storage, stored
from scoring.readers.tables.column_selection import choose
from scoring.readers.tables.image_cells import (
    Pixels,
    is_bytes,
    is_encoded,
    is_file,
    is_list,
    is_number,
    numbers,
    read_bytes,
    read_lists,
)
from scoring.readers.validate import to_pixels

MAGIC = b"PAR1"

# What is read ahead of all columns together, and the bounds for one: a row group is never in memory as a whole.
_BUFFER_BYTES = 16 << 20
_LEAST_BUFFER_BYTES, _MOST_BUFFER_BYTES = 16 << 10, 1 << 20
# What is decoded at once, as Arrow holds it.
_BATCH_BYTES = 8 << 20
# Columns that are brought into rows together: a cache line of each row is then written a few times rather than 64.
_STRIPE = 16


class ParquetReader:
    """Rows of a Parquet file."""

    named = False

    def __init__(self, path: Path, shape: Shape, *, pixels: str | None, labels: str | None, threads: int) -> None:
        """Reads what the file says of itself. Raises `InputError`."""
        self.path = str(path)
        self._file, self._shape, self._threads = path, shape, threads
        with self._open() as file:
            schema = file.schema_arrow
            groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(groups, dtype=np.int64)]).tolist()
        self.rows: int | None = self._starts[-1]
        kinds = {field.name: field.type for field in schema}
        cells = [name for name in schema.names if is_list(kinds[name]) or is_bytes(kinds[name]) or is_file(kinds[name])]
        plain = [name for name in schema.names if is_number(kinds[name])]
        others = [name for name in schema.names if name not in {*cells, *plain}]
        types = {name: str(kind) for name, kind in kinds.items()}
        self._selection = choose(cells, plain, others, shape, self.path, pixels=pixels, labels=labels, types=types)
        self._kind: pa.DataType | None = (
            kinds[self._selection.pixels[0]] if self._selection.pixels[0] in cells else None
        )
        # Rows decoded at once. Those of bytes come as they are wanted; in Parquet no number has less than 32 bits.
        self._most: int | None = None
        if self._kind is None or is_list(self._kind):
            width = max(4, *(_width(kinds[name]) for name in self._selection.pixels))
            self._most = max(1, _BATCH_BYTES // (width * shape.features))
        self._labels = Labels(shape, strict=labels is not None)
        self.labelled = self._selection.label is not None
        self.encoded = self._kind is not None and not is_list(self._kind) and self._begins_encoded()

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return fingerprint.of_file(self._file)

    def blocks(self, rows: int, wanted: Wanted) -> Iterator[Block | int]:
        """See `Reader`."""
        total = self._starts[-1]
        with self._open() as file, Decoder(self._shape.prepare, self._threads) as decoder:
            for want, run in groupby(range(-(-total // rows)), wanted):
                starts = [index * rows for index in run]
                ends = [*starts[1:], min(total, starts[-1] + rows)]
                if not want:
                    yield from (end - start for start, end in zip(starts, ends, strict=True))
                    continue
                batches = self._batches(file, starts[0], ends[-1], rows)
                rest: list[pa.RecordBatch] = []
                for start, end in zip(starts, ends, strict=True):
                    yield self._block(_take(batches, rest, end - start), start, end - start, decoder)

    def _batches(self, file: pq.ParquetFile, start: int, end: int, most: int) -> Iterator[pa.RecordBatch]:
        """The rows from `start` on, up to `end` and perhaps further, at most `most` in a batch."""
        groups = [g for g, (first, last) in enumerate(pairwise(self._starts)) if first < end and last > start]
        skip = start - self._starts[groups[0]]
        label = [] if self._selection.label is None else [self._selection.label]
        # Arrow joins no categories within structs, so that their groups are read one by one.
        alone = self._kind is not None and is_file(self._kind)
        with self._reading():
            for some_groups in [[group] for group in groups] if alone else [groups]:
                for batch in file.iter_batches(
                    min(most, self._most or most),
                    row_groups=some_groups,
                    columns=[*self._selection.pixels, *label],
                    use_threads=self._threads > 1,
                ):
                    if skip < len(batch):
                        yield batch.slice(skip)
                    skip = max(0, skip - len(batch))
        raise InputError(f"{self.path} is damaged: it has fewer rows than it says")

    def _block(self, batches: Iterator[pa.RecordBatch], start: int, count: int, decoder: Decoder) -> Block:
        pixels: Pixels | None = None
        errors: dict[int, RowError] = {}
        warnings: dict[int, Sequence[ImageWarning]] = {}
        labels = np.full(count, UNKNOWN, np.int32)
        done = 0
        for batch in batches:  # each is freed before the next one is read
            part, flaws, seen = self._read(batch, start + done, decoder)
            stop = done + len(batch)
            if len(batch) == count:
                pixels = np.ascontiguousarray(part)
            else:
                pixels = np.empty((count, self._shape.features), np.uint8) if pixels is None else pixels
                pixels[done:stop] = part
            errors |= {done + row: error for row, error in flaws.items()}
            warnings |= {done + row: each for row, each in seen.items()}
            if self._selection.label is not None:
                labels[done:stop] = self._read_labels(batch.column(self._selection.label), start + done)
            done = stop
        assert pixels is not None
        return Block(pixels, errors, warnings, labels=labels if self.labelled else None)

    def _read_labels(self, column: pa.Array, start: int) -> NDArray[np.int32]:
        column = stored(column)
        return self._labels.read(
            numbers(column) if is_number(column.type) and not column.null_count else column.to_pylist(),
            lambda row: f"{self.path}, row {start + row}, column {self._selection.label}",
        )

    def _read(
        self, batch: pa.RecordBatch, start: int, decoder: Decoder
    ) -> tuple[Pixels, dict[int, RowError], dict[int, Sequence[ImageWarning]]]:
        names = self._selection.pixels
        if self._kind is None:
            columns = [batch.column(name) for name in names]
            found, flaws = to_pixels(
                _rows([numbers(column, self._shape.pixel_max) for column in columns]),
                self._shape,
                lambda row, column: f"{self.path}, row {start + row}, column {names[column]}",
                missing=any(column.null_count for column in columns),
            )
            return found, flaws, {}

        def place(row: int) -> str:
            return f"{self.path}, row {start + row}, column {names[0]}"

        column = batch.column(names[0])
        if is_list(self._kind):
            return *read_lists(column, self._shape, place), {}
        return read_bytes(column, self._shape, place, decoder)

    def _begins_encoded(self) -> bool:
        """Whether the first row holds an image file."""
        with self._open() as file, self._reading():
            for batch in file.iter_batches(1, columns=list(self._selection.pixels), use_threads=False):
                cell = stored(batch.column(0))[0].as_py()
                cell = cell.get("bytes") if isinstance(cell, dict) else cell
                return is_encoded(cell or b"")
        return False

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        with self._reading():
            source = pa.OSFile(
                os.fsencode(self._file), "rb"
            )  # Arrow takes text for UTF-8, and a name may be other bytes
        with source:
            with self._reading():
                columns = pq.read_metadata(source).num_columns
                buffer = min(max(_BUFFER_BYTES // max(1, columns), _LEAST_BUFFER_BYTES), _MOST_BUFFER_BYTES)
                file = pq.ParquetFile(source, buffer_size=buffer, pre_buffer=False)
            with file:
                yield file

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            what = "cannot be read" if isinstance(error, pa.ArrowNotImplementedError) else "is damaged or cut short"
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{self.path} {what}: {reason}") from None


def _take(batches: Iterator[pa.RecordBatch], rest: list[pa.RecordBatch], count: int) -> Iterator[pa.RecordBatch]:
    """The next `count` rows of `batches`; what is left of the last batch stays in `rest`."""
    while count:
        batch = rest.pop() if rest else next(batches)
        if len(batch) > count:
            rest.append(batch.slice(count))
            batch = batch.slice(0, count)
        count -= len(batch)
        yield batch


def _rows(columns: list[Any]) -> Any:
    """One array [n, columns] of columns [n]."""
    rows = np.empty((len(columns[0]), len(columns)), np.result_type(*columns))
    for first in range(0, len(columns), _STRIPE):
        rows[:, first : first + _STRIPE] = np.stack(columns[first : first + _STRIPE], axis=1)
    return rows


def _width(kind: pa.DataType) -> int:
    """Bytes that a number of a column, or of its lists, has."""
    kind = storage(kind)
    return _width(kind.value_type) if is_list(kind) else max(1, int(kind.bit_width) // 8)
