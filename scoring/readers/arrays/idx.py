"""IDX files of images, see `imaging.idx`."""

from typing import BinaryIO

import numpy as np

from imaging.idx import IdxError, read_header
from scoring.chunk import InputError, Shape
from scoring.readers.arrays.array import ArrayReader, Layout
from scoring.readers.files import Content, reading


def read_layout(file: BinaryIO, name: str) -> Layout:
    """The header of an IDX file; raises `InputError`."""
    try:
        dtype, shape, offset = read_header(file, name)
    except IdxError as error:
        raise InputError(str(error)) from None
    return Layout(np.dtype(dtype), shape, offset)


def open_idx(content: Content, shape: Shape) -> ArrayReader:
    """The rows of an IDX file of images, packed or not; raises `InputError`."""
    with content.open() as file, reading(content):
        layout = read_layout(file, str(content))
    return ArrayReader(content, layout, shape)
