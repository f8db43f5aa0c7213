"""Selects the columns with the pixels and the labels of a table, for Parquet and CSV."""

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scoring.chunk import InputError, Shape
from scoring.messages import clip, clip_list
from scoring.readers.labels.labels import NONE, find_label_name

PIXEL_NAMES = ("pixels", "image", "img")
"""Names of the column with the pixels if there are several columns of lists or bytes."""

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
    """Select among columns of lists or bytes, of numbers, and others. Raises `InputError` with the candidates.

    The first match counts: the columns that `pixels` names; the column of lists or bytes with a name of
    `PIXEL_NAMES`; the only column of lists or bytes; the only group of as many columns of numbers as an image has
    pixels whose names differ only in their numbers, in the order of these numbers. `types` are for messages.
    """
    columns = [*lists, *numbers, *others]
    listing = clip_list(f"{column} {types[column]}" if types else column for column in columns)
    label = _choose_label(columns, name, labels, listing)
    lists, numbers = ([column for column in kept if column != label] for kept in (lists, numbers))
    chosen = _choose_pixels(lists, numbers, shape, name, pixels, listing, labelled=label is not None)
    counts: Counter[str | None] = Counter(columns)
    twice = [column for column in (*chosen, label) if column is not None and counts[column] > 1]
    if twice:
        raise InputError(f"{name} has several columns named {clip_list(twice)}, expected each name once")
    return ColumnSelection(chosen, label)


def group_pixels(columns: Sequence[str], shape: Shape) -> tuple[list[tuple[str, ...]], list[str]]:
    """The groups of as many columns as an image has pixels whose names differ only in their numbers, each in the
    order of these numbers, and the largest group of any size."""
    groups: dict[str, list[str]] = {}
    for column in columns:
        if _NUMBER.search(column):
            groups.setdefault(_NUMBER.sub("#", column), []).append(column)
    fits = [tuple(sorted(group, key=_numbers)) for group in groups.values() if len(group) == shape.features > 1]
    return fits, max(groups.values(), key=len, default=[])


def match_pixels(columns: Sequence[str], pattern: str) -> tuple[str, ...]:
    """The columns that match a pattern with *, in the order of the numbers in their names."""
    return tuple(sorted((column for column in columns if fnmatch.fnmatchcase(column, pattern)), key=_numbers))


def _choose_pixels(
    lists: Sequence[str],
    numbers: Sequence[str],
    shape: Shape,
    name: str,
    pixels: str | None,
    listing: str,
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
            f"or one column of lists or bytes; its columns: {listing}"
        )
    for candidates in ([column for column in lists if column.lower() in PIXEL_NAMES], lists):
        if len(candidates) == 1:
            return (candidates[0],)
    if len(lists) > 1:
        raise InputError(
            f"{name} has several columns of lists or bytes ({clip_list(lists)}), expected one, "
            "or --pixels with its name"
        )
    fits, most = group_pixels(numbers, shape)
    if len(fits) == 1:
        return fits[0]
    if fits:
        groups = clip_list(f"{group[0]}…{group[-1]}" for group in fits)
        raise InputError(
            f"{name} has several groups of {shape.features} columns ({groups}), "
            "expected one, or --pixels with a pattern"
        )
    found = f"{len(most)} pixel columns ({clip(most[0])}…{clip(most[-1])})" if most else "no pixel columns"
    if len(most) == shape.features + 1 and not labelled:
        raise InputError(
            f"{name} has {found}, expected {size}; where one of them is the label, name it, as --labels {clip(most[0])}"
        )
    raise InputError(
        f"{name} has {found}, expected {size}, named alike but for their numbers, or one column of lists or bytes; "
        f"its columns: {listing}"
    )


def _choose_label(columns: Sequence[str], name: str, labels: str | None, listing: str) -> str | None:
    if labels == NONE:
        return None
    if labels is not None:
        if labels not in columns:
            raise InputError(
                f"{name} has no column {labels} for labels, nor is there a file of that name; its columns: {listing}"
            )
        return labels
    return find_label_name(columns)


def _numbers(column: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(column)]
