"""Reads a file of labels: IDX, .npy, or text with one label on each line."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.idx import is_idx
from scoring.chunk import InputError, Shape
from scoring.readers.arrays import idx, npy
from scoring.readers.files import InputFile, reading
from scoring.readers.labels.labels import Labels


def read_label_file(path: Path, shape: Shape) -> NDArray[np.int32]:
    """int32 [N], the label of each row of the job, `UNKNOWN` for an empty line. Raises `InputError`."""
    source = InputFile(path)
    with source.open() as file, reading(path):
        content = file.read()
    if content.startswith(npy.MAGIC) or is_idx(content):
        layout = (npy if content.startswith(npy.MAGIC) else idx).read_layout(io.BytesIO(content), str(path))
        if len(layout.shape) not in (1, 2) or layout.size != len(content):
            raise InputError(
                f"{path} holds {layout} in {len(content)} bytes, expected [N] labels and no more, "
                f"or [N, {len(shape.classes)}] with a 1 for the class in each row"
            )
        values = np.frombuffer(content, layout.dtype, offset=layout.offset)
        values = values.reshape(layout.shape, order="F" if layout.fortran else "C")
        return Labels(shape, strict=True).read(values, lambda row: f"{path}, row {row}")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(
            f"{path} holds no labels: expected IDX, .npy, or text in UTF-8 with one label on a line"
        ) from None
    return Labels(shape, strict=True).read(lines, lambda row: f"{path}, line {row + 1}")
