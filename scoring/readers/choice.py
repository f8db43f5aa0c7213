"""Which columns of a table are the pixels, and which one the labels: the one rule, for Parquet and CSV."""

import fnmatch
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scoring.chunk import InputError, Shape
from scoring.readers.labels import LABEL_NAMES

PIXEL_NAMES = ("pixels", "image", "img")
"""A column of lists or bytes that is called so is taken for the pixels where there are others as well."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Choice:
    """Columns by their names."""

    pixels: tuple[str, ...]
    """One column of lists or bytes, or one for each pixel, row by row of the image."""
    label: str | None

    @property
    def single(self) -> bool:
        """Whether one column holds all pixels of a row."""
        return len(self.pixels) == 1


def choose(
    lists: Sequence[str],
    numbers: Sequence[str],
    others: Sequence[str],
    shape: Shape,
    name: str,
    *,
    pixels: str | None,
    labels: str | None,
) -> Choice:
    """Columns of lists or bytes, of numbers, and others -> what is what. Raises `InputError` naming the candidates.

    The first of these that there is: what `pixels` names; the column of lists or bytes called as in
    `PIXEL_NAMES`; the only column of lists or bytes; the only group of as many columns of numbers as an image
    has pixels whose names differ in their numbers alone, in the order of these.
    """
    if labels in lists:
        raise InputError(f"{name}, column {labels} holds lists or bytes, expected a label in each row")
    label = _choose_label([*numbers, *others], name, labels)
    chosen = _choose_pixels(lists, [column for column in numbers if column != label], shape, name, pixels)
    columns: Counter[str | None] = Counter([*lists, *numbers, *others])
    twice = [column for column in (*chosen, label) if columns[column] > 1]
    if twice:
        raise InputError(f"{name} has several columns named {_some(twice)}, expected each name once")
    return Choice(chosen, label)


def _choose_pixels(
    lists: Sequence[str], numbers: Sequence[str], shape: Shape, name: str, pixels: str | None
) -> tuple[str, ...]:
    if pixels is not None:
        return _named(pixels, [*lists, *numbers], lists, shape, name)
    for candidates in ([column for column in lists if column.lower() in PIXEL_NAMES], lists):
        if len(candidates) == 1:
            return (candidates[0],)
    groups: dict[str, list[str]] = {}
    for column in numbers:
        if _NUMBER.search(column):
            groups.setdefault(_NUMBER.sub("#", column), []).append(column)
    fits = [group for group in groups.values() if len(group) == shape.features]
    if not lists and len(fits) == 1 and shape.features > 1:
        return tuple(sorted(fits[0], key=_numbers))
    raise InputError(f"{name} has {_found(lists, groups, shape, fits)}")


def _named(pixels: str, columns: Sequence[str], lists: Sequence[str], shape: Shape, name: str) -> tuple[str, ...]:
    """The columns that the user named: one of lists or bytes, or as many of numbers as there are pixels."""
    if pixels in lists:
        return (pixels,)
    found = [column for column in columns if column not in lists and fnmatch.fnmatchcase(column, pixels)]
    if len(found) != shape.features:
        raise InputError(
            f"{name} has {len(found)} columns of numbers named {pixels}, expected {shape.features} "
            f"for images of {shape.rows}×{shape.cols}, or one column of lists or bytes; it has {_some(columns)}"
        )
    return tuple(sorted(found, key=_numbers))


def _choose_label(columns: Sequence[str], name: str, labels: str | None) -> str | None:
    if labels is not None:
        if labels not in columns:
            raise InputError(f"{name} has no column {labels} for labels, nor is there a file of that name")
        return labels
    found = [column for column in columns if column.lower() in LABEL_NAMES]
    return found[0] if len(found) == 1 else None


def _numbers(column: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(column)]


def _found(lists: Sequence[str], groups: dict[str, list[str]], shape: Shape, fits: list[list[str]]) -> str:
    """What there is instead of one candidate, and what was expected."""
    if len(lists) > 1:
        return f"several columns of lists or bytes ({_some(lists)}), expected one, or --pixels with its name"
    if len(fits) > 1:
        names = ", ".join(f"{group[0]}…{group[-1]}" for group in fits)
        return f"several groups of {shape.features} columns ({names}), expected one, or --pixels with a pattern"
    most = max(groups.values(), key=len, default=[])
    there = f"{len(most)} pixel columns ({most[0]}…{most[-1]})" if most else "no pixel columns"
    return (
        f"{there}, expected {shape.features} for images of {shape.rows}×{shape.cols} "
        "whose names differ in their numbers alone, or one column of lists or bytes"
    )


def _some(columns: Sequence[str | None]) -> str:
    return ", ".join(map(str, columns[:8])) + ("" if len(columns) <= 8 else f", … ({len(columns)} in all)")
