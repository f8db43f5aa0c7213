"""Images as one array of numbers in a file; shared by npy, npz and IDX."""

import math
import mmap
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import InputError, Shape
from scoring.readers import fingerprint
from scoring.readers.files import InputFile, reading
from scoring.readers.reader import Block, Wanted
from scoring.readers.validate import to_pixels

_DROP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """An array as its header describes it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    """Offset of its numbers in bytes of the (decompressed) content."""
    fortran: bool = False
    """Whether the first index changes fastest."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Bytes of the header and the numbers."""
        return self.offset + self.shape[0] * self.row_bytes

    def __str__(self) -> str:
        return f"{self.dtype} of the shape {list(self.shape)}"


def check_images(layout: ArrayLayout, shape: Shape, name: str) -> None:
    """Raises `InputError` unless it is an array of images of `shape`."""
    r, c = shape.rows, shape.cols
    if layout.dtype.kind not in "buif":
        raise InputError(f"{name} holds values of the type {layout.dtype}, expected numbers")
    if layout.shape[1:] not in ((r * c,), (r, c), (r, c, 1), (1, r, c)):
        raise InputError(
            f"{name} has the shape {list(layout.shape)}, expected [N, {r * c}] or [N, {r}, {c}] for images of {r}×{c}"
        )


class _Rows(Protocol):
    """A source of rows."""

    def read(self, start: int, count: int) -> NDArray[Any]: ...
    def close(self) -> None: ...


class ArrayReader:
    """Rows of an array. Rows of uncompressed uint8 are views of the file, which is mapped block by block."""

    named = False
    encoded = False

    def __init__(
        self,
        content: InputFile,
        layout: ArrayLayout,
        shape: Shape,
        *,
        name: str | None = None,
        labels: NDArray[np.int32] | None = None,
    ) -> None:
        """`name` is for messages.

        Raises `InputError` unless it is an array of images of `shape` with the length in its header.
        """
        self.path = str(content.path)
        self.rows: int | None = layout.shape[0] if layout.shape else 0
        self.labelled = labels is not None
        self._content, self._layout, self._shape, self._labels = content, layout, shape, labels
        self._name = str(content) if name is None else name
        check_images(layout, shape, self._name)
        if not content.packed:
            self._open().close()

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return fingerprint.of_file(self._content.path)

    def blocks(self, rows: int, wanted: Wanted) -> Iterator[Block | int]:
        """See `Reader`."""
        total = self._layout.shape[0]
        with closing(self._open()) as source:
            for index, start in enumerate(range(0, total, rows)):
                count = min(rows, total - start)
                yield self._block(source.read(start, count), start) if wanted(index) else count

    def _open(self) -> _Rows:
        if self._content.packed:
            return _Streamed(self._content, self._layout, self._name)
        return _Mapped(self._content.path, self._layout, self._name)

    def _block(self, values: NDArray[Any], start: int) -> Block:
        def where(row: int, column: int) -> str:
            return f"{self._name}, row {start + row}, column {column}"

        pixels, errors = to_pixels(values.reshape(len(values), self._shape.features), self._shape, where)
        labels = None if self._labels is None else self._labels[start : start + len(values)]
        return Block(np.ascontiguousarray(pixels), errors, labels=labels)


class _Mapped:
    """Views of an uncompressed file. A mapping is freed with its last view, so memory stays flat."""

    def __init__(self, path: Path, layout: ArrayLayout, name: str) -> None:
        self._layout, self._name = layout, name
        with reading(path):
            self._file = path.open("rb", buffering=0)
        try:
            self._check_size()
        except InputError:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def read(self, start: int, count: int) -> NDArray[Any]:
        self._check_size()  # access to a page beyond a truncated file would kill the process
        layout = self._layout
        if layout.fortran:
            return self._read_fortran(start, count)
        first = layout.offset + start * layout.row_bytes
        base = first - first % mmap.ALLOCATIONGRANULARITY
        with reading(self._name):
            pages = mmap.mmap(
                self._file.fileno(), first - base + count * layout.row_bytes, access=mmap.ACCESS_READ, offset=base
            )
        numbers = np.frombuffer(pages, layout.dtype, offset=first - base)
        return numbers.reshape(count, *layout.shape[1:])

    def _read_fortran(self, start: int, count: int) -> NDArray[Any]:
        """Rows of an array in Fortran order: a piece of each column."""
        layout = self._layout
        size = layout.dtype.itemsize
        values = np.empty((*layout.shape[:0:-1], count), layout.dtype)
        for column, piece in enumerate(values.reshape(-1, count)):
            offset = layout.offset + (column * layout.shape[0] + start) * size
            with reading(self._name):
                found = os.preadv(self._file.fileno(), [piece.data.cast("B")], offset)
            if found != piece.nbytes:
                raise InputError(f"{self._name} is cut short: expected {layout.size} bytes for {layout}")
        return values.T

    def _check_size(self) -> None:
        found = os.fstat(self._file.fileno()).st_size
        if found != self._layout.size:
            what = "cut short" if found < self._layout.size else "too long"
            raise InputError(f"{self._name} is {what}: {found} bytes, expected {self._layout.size} for {self._layout}")


class _Streamed:
    """Rows of a compressed file; skipped rows are decompressed and dropped."""

    def __init__(self, content: InputFile, layout: ArrayLayout, name: str) -> None:
        if layout.fortran:
            raise InputError(f"{name} is packed and in Fortran's order, expected C order or a plain .npy")
        self._layout, self._name = layout, name
        self._file = content.open()
        self._drop(layout.offset)
        self._next = 0

    def close(self) -> None:
        self._file.close()

    def read(self, start: int, count: int) -> NDArray[Any]:
        layout = self._layout
        self._drop((start - self._next) * layout.row_bytes)
        values = np.empty((count, *layout.shape[1:]), layout.dtype)
        self._fill(values.reshape(-1).data.cast("B"))
        self._next = start + count
        if self._next == layout.shape[0]:
            with reading(self._name):
                more = self._file.read(1)
            if more:
                raise InputError(f"{self._name} is too long: expected {layout.size} bytes for {layout}")
        return values

    def _drop(self, count: int) -> None:
        room = memoryview(bytearray(min(count, _DROP_BYTES)))
        while count > 0:
            part = room[: min(count, len(room))]
            self._fill(part)
            count -= len(part)

    def _fill(self, room: memoryview) -> None:
        done = 0
        while done < len(room):
            with reading(self._name):
                part = self._file.readinto(room[done:])  # type: ignore[attr-defined]
            if not part:
                raise InputError(f"{self._name} is cut short: expected {self._layout.size} bytes for {self._layout}")
            done += part
