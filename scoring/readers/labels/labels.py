"""Converts numbers and names of classes to labels of the model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.classes import ClassIndex
from scoring.chunk import FOREIGN, UNKNOWN, InputError, Shape
from scoring.messages import clip, clip_list
from scoring.readers.text import is_missing

LABEL_NAMES = ("label", "labels", "y")
"""Names, in any case, of the column or array that has the labels by default; the first one found counts."""
NONE = "none"
"""Value of `labels`: ignore labels."""


def find_label_name(names: Sequence[str]) -> str | None:
    """The name among columns, arrays or fields that has the labels by default, or None."""
    last = {name: name.replace("\\", "/").rpartition("/")[2].lower() for name in names}
    return next((name for wanted in LABEL_NAMES for name in names if last[name] == wanted), None)


class Labels:
    """Reads labels for one model."""

    def __init__(self, shape: Shape, *, strict: bool) -> None:
        """With `strict`, a label that is not a class of the model is an error; else it becomes `FOREIGN`."""
        self._shape = shape
        self._strict = strict
        self._classes = ClassIndex(shape.classes, shape.labels)

    def read(self, values: Sequence[Any] | NDArray[Any], where: Callable[[int], str]) -> NDArray[np.int32]:
        """int32 [n] of numbers, texts or None, or of rows [n, classes] with a single 1 each, the rest 0.

        The label of a row never depends on other rows. Raises `InputError`; `where` describes the place of a row.
        """
        if isinstance(values, np.ndarray):
            if values.ndim == 1 and values.dtype.kind in "biu":
                return self._numbers(values, where)
            values = values.tolist()
        return np.array([self._one(value, where, row) for row, value in enumerate(values)], np.int32)

    def of_bytes(self) -> NDArray[np.int32]:
        """int32 [256]: the label of each number 0..255, `FOREIGN` where there is none."""
        if not self._classes.exact:
            return np.full(256, FOREIGN, np.int32)
        labels = [self._plain(number) for number in range(256)]
        return np.array([FOREIGN if label is None else label for label in labels], np.int32)

    def _numbers(self, array: NDArray[Any], where: Callable[[int], str]) -> NDArray[np.int32]:
        numbers, rows = np.unique(array, return_inverse=True)
        labels = [self._plain(number) for number in numbers.tolist()]
        found = np.array([FOREIGN if label is None else label for label in labels], np.int32)[rows]
        if self._strict and None in labels:
            row = int((found == FOREIGN).argmax())
            self._refuse(array[row], where(row))
        return found

    def _one(self, value: Any, where: Callable[[int], str], row: int) -> int:
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        label = self._hot(value) if isinstance(value, list) else self._plain(value)
        if label is None and self._strict:
            self._refuse(value, where(row))
        return FOREIGN if label is None else label

    def _plain(self, value: Any) -> int | None:
        """The label for a number or a text; `UNKNOWN` for a missing value, None if it is not a class of the model."""
        if value is None or value != value:
            return UNKNOWN
        place = self._classes.find(value)
        if place is not None:
            return self._shape.labels[place]
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        return UNKNOWN if isinstance(text, str) and is_missing(text) else None

    def _hot(self, values: list[Any]) -> int | None:
        """The class of a one-hot row, or None if the row is not one-hot."""
        if values.count(1) != 1 or values.count(0) != len(values) - 1 or len(values) != len(self._shape.labels):
            return None
        return self._shape.labels[values.index(1)]

    def _refuse(self, value: Any, where: str) -> None:
        more = f", or a 1 for the class among {len(self._shape.labels)} numbers, the rest 0"
        raise InputError(
            f"{where}: the label is {clip(value)}, expected one of {clip_list(self._shape.classes)}"
            f"{more * isinstance(value, list)}"
        )
