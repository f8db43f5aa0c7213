"""Several inputs as one."""

from collections.abc import Container, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import UNKNOWN, Chunk, InputError
from scoring.readers.reader import Block, Reader


class Inputs:
    """The rows of all inputs, one after the other, in chunks that never cross from one input into the next."""

    def __init__(
        self, readers: Sequence[Reader], labels: NDArray[np.int32] | None = None, label_file: str | None = None
    ) -> None:
        """`labels` is int32 with one for each row of the job, from `label_file`; else those of the inputs count.

        Raises `InputError` when there are not as many labels as rows, as far as that is known.
        """
        self.readers = readers
        self.named = any(reader.named for reader in readers)
        """Whether ids are text rather than row numbers: when some of the rows have names."""
        self.encoded = any(reader.encoded for reader in readers)
        """Whether there are image files among the rows, which take a thousand times as long to read as pixels."""
        self.labelled = labels is not None or any(reader.labelled for reader in readers)
        """Whether chunks come with labels."""
        known = [reader.rows for reader in readers]
        self.rows = None if None in known else sum(rows for rows in known if rows is not None)
        """How many rows there are, where that is cheap to know."""
        self.count: int | None = None
        """How many chunks there are altogether, `done` included; known once `chunks` has come to its end."""
        self._labels, self._label_file = labels, label_file
        if self.rows is not None:
            self._check_labels(self.rows)

    @property
    def replayable(self) -> bool:
        """Whether they can be read a second time, as a resumed job does; standard input cannot."""
        return all(reader.path != "-" for reader in self.readers)

    def fingerprint(self) -> list[dict[str, Any]]:
        """What stays the same as long as the inputs do, for JSON: path, size, time and SHA-256 of samples of each."""
        return [reader.fingerprint() for reader in self.readers]

    def chunks(self, chunk_rows: int, done: Container[int] = ()) -> Iterator[Chunk]:
        """The chunks whose index is not among `done`, in order; the memory of each is free once it is let go of.

        Raises `InputError` when an input turns out damaged.
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
        return Chunk(index, row, block.pixels, ids, block.errors, labels)

    def _check_labels(self, rows: int, *, at_least: bool = False) -> None:
        if self._labels is not None and not (self._labels[rows:] != UNKNOWN).any() and len(self._labels) > rows > 0:
            self._labels = self._labels[:rows]  # lines that are empty, behind the last label
        if self._labels is not None and len(self._labels) != rows:
            more = "at least " if at_least else ""
            raise InputError(
                f"{self._label_file} has {len(self._labels)} labels, expected {more}{rows}, one for each row"
            )
