"""NumPy's files: one array (.npy), or several in a zip (.npz).

Source: NEP 1, "A Simple File Format for NumPy Arrays".
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import InputError, Shape
from scoring.messages import clip_list
from scoring.readers.arrays.array import ArrayLayout, ArrayReader, check_images
from scoring.readers.files import InputFile, reading
from scoring.readers.labels.labels import NONE, Labels, find_label_name

MAGIC = b"\x93NUMPY"
ENDING = ".npy"
PIXEL_NAMES = ("pixels", "images", "x")
"""Names of the array with the pixels if there are several arrays."""


def read_layout(file: BinaryIO, name: str) -> ArrayLayout:
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
        raise InputError(f"{name} holds Python objects, expected numbers or text: save it as such")
    return ArrayLayout(dtype, shape, file.tell(), fortran and len(shape) > 1)


def open_npy(content: InputFile, shape: Shape) -> ArrayReader:
    """The rows of an .npy file, packed or not; raises `InputError`."""
    with content.open() as file, reading(content):
        layout = read_layout(file, str(content))
    return ArrayReader(content, layout, shape)


def open_npz(path: Path, shape: Shape, *, pixels: str | None, labels: str | None) -> ArrayReader:
    """The rows of an .npz file; raises `InputError` that names the candidates where the rule leaves several."""
    with reading(path), zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(ENDING)]
    arrays = {name.removesuffix(ENDING): Array(path, name) for name in names}
    chosen = _choose(arrays, shape, pixels, path)
    layout = chosen.layout()
    check_images(layout, shape, str(chosen))
    own = _read_labels(arrays, layout.shape[0], labels, shape, path)
    return ArrayReader(chosen.content, layout, shape, name=str(chosen), labels=own)


class Array:
    """An array of an .npz file. Its header is read at once; an error in it is raised at the first use."""

    def __init__(self, path: Path, member: str) -> None:
        self.content = InputFile(path, member)
        self._name = f"{path}, array {member.removesuffix(ENDING)}"
        self._layout: ArrayLayout | InputError
        try:
            with self.content.open() as file, reading(self):
                self._layout = read_layout(file, self._name)
        except InputError as error:
            self._layout = error

    def __str__(self) -> str:
        return self._name

    def layout(self) -> ArrayLayout:
        """Raises `InputError`."""
        if isinstance(self._layout, InputError):
            raise self._layout
        return self._layout

    def holds(self, features: int) -> bool:
        """Whether its rows have `features` numbers."""
        layout = self._layout
        return isinstance(layout, ArrayLayout) and len(layout.shape) > 1 and math.prod(layout.shape[1:]) == features

    def describe(self) -> str:
        """Its dtype and shape, or its error."""
        if isinstance(self._layout, InputError):
            why = str(self._layout).removeprefix(self._name).removeprefix(str(self.content))
            return f"({why.strip().partition(',')[0]})"
        return f"{self._layout.dtype}{list(self._layout.shape)}"


def _choose(arrays: Mapping[str, Array], shape: Shape, pixels: str | None, path: Path) -> Array:
    """The array that holds the pixels."""
    all_ = clip_list(f"{name} {array.describe()}" for name, array in arrays.items())
    if pixels is not None:
        if pixels not in arrays:
            raise InputError(f"{path} has no array {pixels}; its arrays: {all_}")
        return arrays[pixels]
    fits = [name for name, array in arrays.items() if array.holds(shape.features)]
    named = [name for name in arrays if name.replace("\\", "/").rpartition("/")[2].lower() in PIXEL_NAMES]
    for candidates in ([name for name in named if name in fits], fits, named):
        if len(candidates) == 1:
            return arrays[candidates[0]]
    which = "several arrays" if fits else "no array"
    raise InputError(
        f"{path} has {which} with images of {shape.rows}×{shape.cols}, expected one, "
        f"or --pixels with its name; its arrays: {all_}"
    )


def _read_labels(
    arrays: Mapping[str, Array], rows: int, labels: str | None, shape: Shape, path: Path
) -> NDArray[np.int32] | None:
    """int32 [rows] from the array `labels`, else from one of `LABEL_NAMES` if its shape fits."""
    if labels not in (None, NONE, *arrays):
        raise InputError(f"{path} has no array {labels} of labels; its arrays: {clip_list(arrays)}")
    name = find_label_name(list(arrays)) if labels is None else labels
    if name is None or labels == NONE:
        return None
    try:
        return _labels_of(arrays[name], rows, shape, asked=labels is not None)
    except InputError as error:
        raise InputError(f"{error}" + "; --labels none ignores them" * (labels is None)) from None


def _labels_of(array: Array, rows: int, shape: Shape, *, asked: bool) -> NDArray[np.int32] | None:
    classes = len(shape.classes)
    found = array.layout().shape
    if len(found) not in (1, 2) or found[1:] not in ((), (1,), (classes,)):
        if not asked:
            return None
        raise InputError(
            f"{array} has the shape {list(found)}, expected [{rows}], "
            f"or [{rows}, {classes}] with a 1 for the class in each row"
        )
    if found[0] != rows:
        raise InputError(f"{array} has {found[0]} labels, expected {rows}, one for each row")
    with array.content.open() as file, reading(array):
        try:
            values = np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise InputError(f"{array} is damaged or cut short: {error}") from None
    return Labels(shape, strict=asked).read(values, lambda row: f"{array}, row {row}")
