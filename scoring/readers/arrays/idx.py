"""IDX files of images, see `imaging.idx`."""

from typing import BinaryIO

import numpy as np

from imaging.idx import IdxError, read_header
from scoring.chunk import InputError, Shape
from scoring.readers.arrays.array import ArrayLayout, ArrayReader
from scoring.readers.files import InputFile, reading


def read_layout(file: BinaryIO, name: str) -> ArrayLayout:
    """The header of an IDX file; raises `InputError`."""
    try:
        dtype, shape, offset = read_header(file, name)
    except IdxError as error:
        raise InputError(str(error)) from None
    return ArrayLayout(np.dtype(dtype), shape, offset)


def open_idx(content: InputFile, shape: Shape) -> ArrayReader:
    """The rows of an IDX file of images, packed or not; raises `InputError`."""
    with content.open() as file, reading(content):
        layout = read_layout(file, str(content))
    return ArrayReader(content, layout, shape)
