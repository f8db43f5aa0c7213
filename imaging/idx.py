"""IDX, the file format of MNIST: a magic number, the sizes, then the bytes, all big-endian.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_UINT8 = 0x08


class IdxError(ValueError):
    """A file is no IDX file of bytes, or not a whole one; the message names it."""


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
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UINT8 or raw[3] == 0:
        raise IdxError(f"{path} is no IDX file of bytes: it starts with {raw[:4].hex(' ') or 'nothing'}")
    header = 4 + 4 * raw[3]
    if len(raw) < header:
        raise IdxError(f"{path} is cut short: {len(raw)} bytes, and its header alone has {header}")
    shape = struct.unpack_from(f">{raw[3]}I", raw, 4)
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        what = "cut short" if len(raw) < expected else "too long"
        raise IdxError(f"{path} is {what}: {len(raw)} bytes, expected {expected} for the shape {list(shape)}")
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write `array` as plain IDX, or packed where `path` ends in `.gz`; the same array gives the same bytes."""
    raw = bytes((0, 0, _UINT8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
