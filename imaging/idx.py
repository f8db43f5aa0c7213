"""IDX, the file format of MNIST: a magic number, the sizes, then the numbers, all big-endian.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

_UINT8 = 0x08
_DTYPES = {_UINT8: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 4


class IdxError(ValueError):
    """A file is no IDX file, or not a whole one; the message names it."""


class Header(NamedTuple):
    """An array as the header of its file describes it."""

    dtype: str
    """As NumPy writes it, byte order included."""
    shape: tuple[int, ...]
    size: int
    """Bytes of the header itself."""


def is_idx(head: bytes) -> bool:
    """Whether a file begins like IDX, with 1 to 4 dimensions."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in _DTYPES and 1 <= head[3] <= _MAX_DIMENSIONS


def read_header(file: BinaryIO, name: object) -> Header:
    """The header that `file` begins with; raises `IdxError`, which calls the file `name`."""
    head = file.read(4)
    if not is_idx(head):
        raise IdxError(f"{name} is no IDX file: it starts with {head.hex(' ') or 'nothing'}")
    sizes = file.read(4 * head[3])
    size = 4 + 4 * head[3]
    if len(sizes) < 4 * head[3]:
        raise IdxError(f"{name} is cut short: its header alone has {size} bytes")
    return Header(_DTYPES[head[2]], struct.unpack(f">{head[3]}I", sizes), size)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in `path`, uint8 with as many dimensions as the file says; `.gz` is unpacked.

    Raises `IdxError` for anything else than a whole IDX file of unsigned bytes, and `OSError`.
    """
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise IdxError(f"{path} is damaged or cut short: {error}") from None
    dtype, shape, size = read_header(io.BytesIO(raw), path)
    if dtype != _DTYPES[_UINT8]:
        raise IdxError(f"{path} holds numbers of the type {dtype}, expected unsigned bytes")
    expected = size + int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        what = "cut short" if len(raw) < expected else "too long"
        raise IdxError(f"{path} is {what}: {len(raw)} bytes, expected {expected} for the shape {list(shape)}")
    return np.frombuffer(raw, dtype=np.uint8, offset=size).reshape(shape)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write `array` as plain IDX, or packed where `path` ends in `.gz`; the same array gives the same bytes."""
    raw = bytes((0, 0, _UINT8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
