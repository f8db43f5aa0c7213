"""The classes of a model: what they are called, which whole number stands for each, and which one is meant."""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_FLAGS = {"false": 0, "true": 1}  # as bools are written
_BITS = 2**31


def as_whole(value: Any) -> int | None:
    """The whole number of 32 bits that `value` is, as a number or as text ("7", "7.0", "7e0"); None for all else.

    False and True are 0 and 1, as values and as text.
    """
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        text = value.strip()
        value = float(text) if _NUMBER.fullmatch(text) else _FLAGS.get(text.lower())
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


def are_names(classes: Sequence[str]) -> bool:
    """Whether people can tell the classes apart by them: no two the same, none blank, all characters printable."""
    seen = {unicodedata.normalize("NFC", name).strip() for name in classes}
    return len(seen) == len(classes) and "" not in seen and all(name.isprintable() for name in classes)


class ClassIndex:
    """Finds the class that a value means: its name, another way to write the number that it is called, or its label."""

    def __init__(self, names: Sequence[Any], labels: Sequence[int] = ()) -> None:
        """`labels` are those of the card; they mean a class only where no name is a number itself."""
        numbers = [as_whole(name) for name in names]
        texts = [_text(name) for name in names]
        plain = [text.strip() for text in texts]
        self._names = {text: place for place, text in enumerate(texts)}
        self._plain = {text: place for place, text in enumerate(plain) if plain.count(text) == 1}
        self._numbers = {
            number: place for place, number in enumerate(numbers) if number is not None and numbers.count(number) == 1
        }
        if not any(number is not None for number in numbers):
            self._numbers = {label: place for place, label in enumerate(labels)}
        self.exact = not any(
            number is not None and str(number) != text for number, text in zip(numbers, texts, strict=True)
        )
        """Whether all spellings of a number are the same class."""

    def find(self, value: Any) -> int | None:
        """The position of the class, in score order; None where no class is meant."""
        text = _text(value)
        place = self._names.get(text, self._plain.get(text.strip()))
        if place is None and (number := as_whole(value)) is not None:
            place = self._numbers.get(number)
        return place


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
