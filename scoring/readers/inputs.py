"""Several inputs as one."""

from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import UNKNOWN, Chunk, InputError
from scoring.readers.reader import Block, Reader


class Inputs:
    """The rows of all inputs in order, in chunks that never span two inputs."""

    def __init__(
        self, readers: Sequence[Reader], labels: NDArray[np.int32] | None = None, label_file: str | None = None
    ) -> None:
        """`labels` from `label_file` is int32 [rows of the job]; without it, the inputs have labels of their own.

        Raises `InputError` if the number of rows is known and differs from that of the labels.
        """
        self.readers = readers
        self.named = any(reader.named for reader in readers)
        """Whether ids are text rather than row numbers, because some rows have names."""
        self.encoded = any(reader.encoded for reader in readers)
        """Whether some rows are image files, which are a thousand times slower to read than pixels."""
        self.labelled = labels is not None or any(reader.labelled for reader in readers)
        """Whether chunks have labels."""
        known = [reader.rows for reader in readers]
        self.rows = None if None in known else sum(rows for rows in known if rows is not None)
        """Number of rows, if it is cheap to find."""
        self.count: int | None = None
        """Number of all chunks, including `done`; known after `chunks` is exhausted."""
        self._labels, self._label_file = labels, label_file
        if self.rows is not None:
            self._check_labels(self.rows)

    @property
    def replayable(self) -> bool:
        """Whether they can be read again by a resumed job; standard input cannot."""
        return all(reader.path != "-" for reader in self.readers)

    def fingerprint(self) -> list[dict[str, Any]]:
        """Fingerprints of the inputs, for JSON: path, size, time and SHA-256 of samples of each."""
        return [reader.fingerprint() for reader in self.readers]

    def chunks(self, chunk_rows: int, done: Container[int] = ()) -> Iterator[Chunk]:
        """The chunks whose index is not in `done`, in order; a chunk is freed with its last reference.

        Raises `InputError` for a damaged input.
        """
        index = row = 0
        for reader in self.readers:
            first = index
            for block in reader.blocks(chunk_rows, lambda place, first=first: first + place not in done):  # type: ignore[misc]
                if isinstance(block, int):
                    row += block
                else:
                    yield self._chunk(index, row, block)
                    row += len(block)
                index += 1
        self._check_labels(row)
        self.count = index

    def _chunk(self, index: int, row: int, block: Block) -> Chunk:
        rows = range(row, row + len(block))
        ids: Sequence[str] | range = rows
        if self.named:
            ids = [str(each) for each in rows] if block.names is None else block.names
        labels = block.labels
        if self._labels is not None:
            labels = self._labels[rows.start : rows.stop]
            if len(labels) < len(rows):
                self._check_labels(rows.stop, at_least=True)
        elif self.labelled and labels is None:
            labels = np.full(len(block), UNKNOWN, np.int32)
        return Chunk(index, row, block.pixels, ids, block.errors, labels, block.warnings, block.pictures)

    def _check_labels(self, rows: int, *, at_least: bool = False) -> None:
        if self._labels is not None and not (self._labels[rows:] != UNKNOWN).any() and len(self._labels) > rows > 0:
            self._labels = self._labels[:rows]  # empty lines after the last label
        if self._labels is not None and len(self._labels) != rows:
            more = "at least " if at_least else ""
            raise InputError(
                f"{self._label_file} has {len(self._labels)} labels, expected {more}{rows}, one for each row"
            )
