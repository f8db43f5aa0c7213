"""IDX, the file format of MNIST: a magic number, the sizes, then the numbers, all big-endian.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

import struct
from typing import BinaryIO

import numpy as np

from scoring.chunk import InputError, Shape
from scoring.readers.arrays.array import ArrayReader, Layout
from scoring.readers.files import Content, reading

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(head: bytes) -> bool:
    """Whether a file begins like IDX."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in DTYPES and 1 <= head[3] <= 4


def read_layout(file: BinaryIO, name: str) -> Layout:
    """The header of an IDX file; raises `InputError`."""
    head = file.read(4)
    sizes = file.read(4 * head[3])
    if len(sizes) < 4 * head[3]:
        raise InputError(f"{name} is cut short: its header alone has {4 + 4 * head[3]} bytes")
    return Layout(np.dtype(DTYPES[head[2]]), struct.unpack(f">{head[3]}I", sizes), 4 + len(sizes))


def open_idx(content: Content, shape: Shape) -> ArrayReader:
    """The rows of an IDX file of images, packed or not; raises `InputError`."""
    with content.open() as file, reading(content):
        layout = read_layout(file, str(content))
    return ArrayReader(content, layout, shape)
