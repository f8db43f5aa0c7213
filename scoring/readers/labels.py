"""What images show, as far as somebody said: numbers or names of classes -> the labels of the model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import UNKNOWN, InputError, Shape

LABEL_NAMES = ("label", "labels", "y")
"""A column or array called so is taken for labels without being asked for, upper or lower case."""


class Labels:
    """How labels are read for one model."""

    def __init__(self, shape: Shape, *, strict: bool) -> None:
        """`strict` when they were asked for: one that the model does not know ends the job; else it is unknown."""
        self._shape = shape
        self._strict = strict
        self._known = {str(label): label for label in shape.labels} | dict(
            zip(shape.classes, shape.labels, strict=True)
        )

    def read(self, values: Sequence[Any] | NDArray[Any], where: Callable[[int], str]) -> NDArray[np.int32]:
        """int32 [n] of numbers, texts or None, or of rows [n, classes] with a single 1 each, the rest 0.

        Raises `InputError`; `where` says how to find a row.
        """
        array = np.asarray(values)
        if array.ndim == 2:
            return self._one_hot(array, where) if array.shape[1] != 1 else self.read(array[:, 0], where)
        if array.dtype.kind in "biu":
            return self._numbers(array, where)
        return np.array([self._one(value, where, row) for row, value in enumerate(array.tolist())], np.int32)

    def _numbers(self, array: NDArray[Any], where: Callable[[int], str]) -> NDArray[np.int32]:
        wrong = ~np.isin(array, np.array(self._shape.labels))
        if not wrong.any():
            return array.astype(np.int32)
        row = int(wrong.argmax())
        if self._strict:
            self._refuse(array[row], where(row))
        return np.where(wrong, UNKNOWN, array).astype(np.int32)

    def _one_hot(self, array: NDArray[Any], where: Callable[[int], str]) -> NDArray[np.int32]:
        """Classes in their order, by the place of the 1."""
        labels = np.array(self._shape.labels, np.int32)
        found = np.full(len(array), UNKNOWN, np.int32)
        right = np.zeros(len(array), np.bool_)
        if array.shape[1] == len(labels):
            hot = array == 1
            right = (hot.sum(axis=1) == 1) & ((hot | (array == 0)).all(axis=1))
            found[right] = labels[hot[right].argmax(axis=1)]
        if self._strict and not right.all():
            row = int(right.argmin())
            self._refuse(
                array[row].tolist(), where(row), f", or a 1 for the class among {len(labels)} numbers, the rest 0"
            )
        return found

    def _one(self, value: Any, where: Callable[[int], str], row: int) -> int:
        if value is None or value == "" or value != value:
            return UNKNOWN
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        label = self._known.get(str(value).strip())
        if label is None:
            if self._strict:
                self._refuse(value, where(row))
            return UNKNOWN
        return label

    def _refuse(self, value: Any, where: str, more: str = "") -> None:
        raise InputError(f"{where}: the label is {value}, expected one of {', '.join(self._shape.classes)}{more}")
