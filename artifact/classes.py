"""The classes of a model: what they are called, which whole number stands for each, and which one is meant."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BITS = 2**31


def as_whole(value: Any) -> int | None:
    """The whole number of 32 bits that `value` is, as a number or as text ("7", "7.0", "7e0"); None for all else."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _NUMBER.fullmatch(text) else None
    try:
        number = int(value) if math.isfinite(value) and value == int(value) else None
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and -_BITS <= number < _BITS else None


def class_numbers(names: Iterable[Any]) -> tuple[int, ...] | None:
    """The numbers that the classes are called; None unless all are whole numbers of 32 bits, and no two the same."""
    found = [as_whole(name) for name in names]
    numbers = tuple(number for number in found if number is not None)
    return numbers if len(set(numbers)) == len(found) else None


class ClassIndex:
    """Finds the class that a value means: its name, another way to write the number that it is called, or its label."""

    def __init__(self, names: Sequence[Any], labels: Sequence[int] = ()) -> None:
        """`labels` are those of the card; they mean a class only where no name is a number itself."""
        numbers = [as_whole(name) for name in names]
        self._places: dict[Any, int] = {}
        if not any(number is not None for number in numbers):
            self._places |= {label: place for place, label in enumerate(labels)}
        self._places |= {each: place for place, each in enumerate(numbers) if numbers.count(each) == 1}
        self._places |= {_text(name): place for place, name in enumerate(names)}

    def find(self, value: Any) -> int | None:
        """The position of the class, in score order; None where no class is meant."""
        place = self._places.get(_text(value))
        return self._places.get(as_whole(value)) if place is None else place


def _text(value: Any) -> str:
    return value.decode(errors="replace").strip() if isinstance(value, bytes) else str(value).strip()
