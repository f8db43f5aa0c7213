"""NumPy's files: one array (.npy), or several in a zip (.npz).

Source: NEP 1, "A Simple File Format for NumPy Arrays".
"""

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import InputError, Shape
from scoring.readers.array import ArrayReader, Layout
from scoring.readers.files import open_stream, reading
from scoring.readers.labels import LABEL_NAMES, Labels

MAGIC = b"\x93NUMPY"
PIXEL_NAMES = ("pixels", "images", "x")
"""An array called so is taken for the pixels where there are others as well."""


def read_layout(file: BinaryIO, name: str) -> Layout:
    """The header of the array that `file` begins with; raises `InputError`."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    except ValueError as error:
        raise InputError(f"{name} is damaged or cut short: {str(error).splitlines()[0]}") from None
    if dtype.hasobject:
        raise InputError(f"{name} holds Python objects, expected numbers")
    return Layout(dtype, shape, file.tell(), fortran and len(shape) > 1)


def open_npy(path: Path, shape: Shape, *, packed: bool) -> ArrayReader:
    """The rows of an .npy file, packed by gzip or not; raises `InputError`."""
    with open_stream(path, packed=packed) as file, reading(path):
        layout = read_layout(file, str(path))
    return ArrayReader(path, layout, shape, unpacked=partial(open_stream, path, packed=True) if packed else None)


def open_npz(path: Path, shape: Shape, *, pixels: str | None, labels: str | None) -> ArrayReader:
    """The rows of an .npz file; raises `InputError` that names the candidates where the rule leaves several."""
    with reading(path), zipfile.ZipFile(path) as archive:
        layouts = {}
        for member in archive.namelist():
            if member.endswith(".npy"):
                try:
                    with archive.open(member) as file:
                        layouts[member.removesuffix(".npy")] = read_layout(cast("BinaryIO", file), f"{path}, {member}")
                except RuntimeError as error:  # encrypted, or packed in a way of its own
                    raise InputError(f"{path} cannot be read: {error}") from None
        chosen = _choose(layouts, shape, pixels, path)
        own = _read_labels(archive, layouts, layouts[chosen].shape[0], labels, shape, path)
    return ArrayReader(
        path,
        layouts[chosen],
        shape,
        name=f"{path}, array {chosen}",
        unpacked=partial(_open_member, path, f"{chosen}.npy"),
        labels=own,
    )


@contextmanager
def _open_member(path: Path, member: str) -> Iterator[BinaryIO]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        yield cast("BinaryIO", file)


def _choose(layouts: Mapping[str, Layout], shape: Shape, pixels: str | None, path: Path) -> str:
    """The name of the array that holds the pixels."""
    all_ = ", ".join(f"{name} {layout.dtype}{list(layout.shape)}" for name, layout in layouts.items()) or "none"
    if pixels is not None:
        if pixels not in layouts:
            raise InputError(f"{path} has no array {pixels}; its arrays: {all_}")
        return pixels
    fits = [
        name
        for name, layout in layouts.items()
        if len(layout.shape) > 1 and math.prod(layout.shape[1:]) == shape.features
    ]
    for candidates in ([name for name in layouts if name.lower() in PIXEL_NAMES], fits):
        if len(candidates) == 1:
            return candidates[0]
    which = "several arrays" if fits else "no array"
    raise InputError(
        f"{path} has {which} with images of {shape.rows}×{shape.cols}, expected one, "
        f"or --pixels with its name; its arrays: {all_}"
    )


def _read_labels(
    archive: zipfile.ZipFile, layouts: Mapping[str, Layout], rows: int, labels: str | None, shape: Shape, path: Path
) -> NDArray[np.int32] | None:
    """int32 [rows] of the array `labels`, or of one that is called so, if it may be one of labels."""
    names = [labels] if labels is not None else [name for name in layouts if name.lower() in LABEL_NAMES]
    if labels is not None and labels not in layouts:
        raise InputError(f"{path} has no array {labels} of labels; its arrays: {', '.join(layouts)}")
    if len(names) != 1:
        return None
    [name] = names
    found, classes = layouts[name].shape, len(shape.classes)
    if found[1:] not in ((), (1,), (classes,)):
        if labels is None:
            return None
        raise InputError(
            f"{path}, array {name} has the shape {list(found)}, expected [{rows}], "
            f"or [{rows}, {classes}] with a 1 for the class in each row"
        )
    if found[:1] != (rows,):
        raise InputError(f"{path}, array {name} has {found[0]} labels, expected {rows}, one for each row")
    with archive.open(f"{name}.npy") as file:
        try:
            values = np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise InputError(f"{path}, array {name} is damaged or cut short: {error}") from None
    return Labels(shape, strict=labels is not None).read(values, lambda row: f"{path}, array {name}, row {row}")
