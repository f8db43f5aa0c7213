"""Which columns of a table are the pixels, and which one the labels: the one rule, for Parquet and CSV."""

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scoring.chunk import InputError, Shape
from scoring.readers.labels import NONE, own_labels
from scoring.sentences import cut, some

PIXEL_NAMES = ("pixels", "image", "img")
"""A column of lists or bytes that is called so is taken for the pixels where there are others as well."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class ColumnSelection:
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
    types: Mapping[str, str] | None = None,
) -> ColumnSelection:
    """Columns of lists or bytes, of numbers, and others -> what is what. Raises `InputError` naming the candidates.

    The first of these that there is: what `pixels` names; the column of lists or bytes called as in
    `PIXEL_NAMES`; the only column of lists or bytes; the only group of as many columns of numbers as an image
    has pixels whose names differ in their numbers alone, in the order of these. `types` are for sentences.
    """
    columns = [*lists, *numbers, *others]
    told = some(f"{column} {types[column]}" if types else column for column in columns)
    label = _choose_label(columns, name, labels, told)
    lists, numbers = ([column for column in kept if column != label] for kept in (lists, numbers))
    chosen = _choose_pixels(lists, numbers, shape, name, pixels, told, labelled=label is not None)
    counts: Counter[str | None] = Counter(columns)
    twice = [column for column in (*chosen, label) if column is not None and counts[column] > 1]
    if twice:
        raise InputError(f"{name} has several columns named {some(twice)}, expected each name once")
    return ColumnSelection(chosen, label)


def group_pixels(columns: Sequence[str], shape: Shape) -> tuple[list[tuple[str, ...]], list[str]]:
    """The groups of as many columns as an image has pixels whose names differ in their numbers alone, each in the
    order of these, and the largest group of any size."""
    groups: dict[str, list[str]] = {}
    for column in columns:
        if _NUMBER.search(column):
            groups.setdefault(_NUMBER.sub("#", column), []).append(column)
    fits = [tuple(sorted(group, key=_numbers)) for group in groups.values() if len(group) == shape.features > 1]
    return fits, max(groups.values(), key=len, default=[])


def match_pixels(columns: Sequence[str], pattern: str) -> tuple[str, ...]:
    """The columns that a pattern with * names, in the order of the numbers in their names."""
    return tuple(sorted((column for column in columns if fnmatch.fnmatchcase(column, pattern)), key=_numbers))


def _choose_pixels(
    lists: Sequence[str],
    numbers: Sequence[str],
    shape: Shape,
    name: str,
    pixels: str | None,
    told: str,
    *,
    labelled: bool,
) -> tuple[str, ...]:
    size = f"{shape.features} for images of {shape.rows}×{shape.cols}"
    if pixels is not None:
        if pixels in lists:
            return (pixels,)
        named = match_pixels(numbers, pixels)
        if len(named) == shape.features:
            return named
        raise InputError(
            f"{name} has {len(named)} columns of numbers named {pixels}, expected {size}, "
            f"or one column of lists or bytes; its columns: {told}"
        )
    for candidates in ([column for column in lists if column.lower() in PIXEL_NAMES], lists):
        if len(candidates) == 1:
            return (candidates[0],)
    if len(lists) > 1:
        raise InputError(
            f"{name} has several columns of lists or bytes ({some(lists)}), expected one, or --pixels with its name"
        )
    fits, most = group_pixels(numbers, shape)
    if len(fits) == 1:
        return fits[0]
    if fits:
        groups = some(f"{group[0]}…{group[-1]}" for group in fits)
        raise InputError(
            f"{name} has several groups of {shape.features} columns ({groups}), "
            "expected one, or --pixels with a pattern"
        )
    found = f"{len(most)} pixel columns ({cut(most[0])}…{cut(most[-1])})" if most else "no pixel columns"
    if len(most) == shape.features + 1 and not labelled:
        raise InputError(
            f"{name} has {found}, expected {size}; where one of them is the label, name it, as --labels {cut(most[0])}"
        )
    raise InputError(
        f"{name} has {found}, expected {size}, named alike but for their numbers, or one column of lists or bytes; "
        f"its columns: {told}"
    )


def _choose_label(columns: Sequence[str], name: str, labels: str | None, told: str) -> str | None:
    if labels == NONE:
        return None
    if labels is not None:
        if labels not in columns:
            raise InputError(
                f"{name} has no column {labels} for labels, nor is there a file of that name; its columns: {told}"
            )
        return labels
    return own_labels(columns)


def _numbers(column: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(column)]
