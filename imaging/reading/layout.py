"""Marks in reading order: which stand in one line, and which are parts of one digit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.marks import Marks
from imaging.reading.sheet import box_of

Box = tuple[int, int, int, int]
"""top, bottom, left, right in the sheet; bottom and right exclusive."""

_SPECK = 0.12  # of the typical height of the tall marks: what is smaller is a speck
_TALL = 0.4  # of the tallest tenth: marks from this height on are tall
_OVERLAP = 0.5  # marks of one line overlap by this part of the lower one's height
_LONG, _FLAT = 2.0, 0.4  # in heights: a mark as long and no higher is a line that someone drew
_STACKED = 0.55  # parts of one digit lie above each other: they overlap across by this part of the narrower one
_TALLEST = 1.6  # and are together no taller than this part of the line


@dataclass(slots=True)
class Part:
    """Marks that lie above each other in one line: a digit, a part of one, or several that touch."""

    box: Box
    marks: list[int]


def digit_height(marks: Marks) -> float:
    """The typical height of the digits in pixels; 0 without marks."""
    heights = marks.bottom - marks.top + 1
    if not len(heights):
        return 0.0
    tall = heights[heights >= _TALL * np.quantile(heights, 0.9)]
    return float(np.median(tall))


def in_lines(marks: Marks, kept: NDArray[np.bool_], height: float) -> list[list[Part]]:
    """The marks that are `kept` as lines of parts, from the top, each from the left.

    A mark belongs to the line whose last part it overlaps most up and down, so that lines may rise and fall.
    """
    heights = marks.bottom - marks.top + 1
    tall = kept & (heights >= _TALL * height)
    lines: list[list[int]] = []
    for place in sorted(np.flatnonzero(tall).tolist(), key=lambda mark: (int(marks.left[mark]), int(marks.top[mark]))):
        best, most = None, _OVERLAP
        for line in lines:
            # Of its last marks, since a line leans, and one mark may be lower than the others.
            overlap = max(_overlap(marks, place, other) for other in line[-2:])
            if overlap > most:
                best, most = line, overlap
        if best is None:
            lines.append([place])
        else:
            best.append(place)
    if not lines:
        return []
    for place in np.flatnonzero(kept & ~tall).tolist():
        nearest = min(lines, key=lambda line: min(_distance(marks, place, other) for other in line))
        if min(_distance(marks, place, other) for other in nearest) <= 0.5 * height:
            nearest.append(place)
    lines.sort(key=lambda line: float(np.mean([marks.top[mark] + marks.bottom[mark] for mark in line])))
    return [stacked(marks, line) for line in lines]


def stacked(marks: Marks, line: list[int]) -> list[Part]:
    """The marks of one line as parts from the left: those that lie above each other are one."""
    parts = [Part(box_of(marks, mark), [mark]) for mark in sorted(line, key=lambda mark: int(marks.left[mark]))]
    tallest = max((part.box[1] - part.box[0] for part in parts), default=0)
    merged: list[Part] = []
    for part in parts:
        before = merged[-1] if merged else None
        if before is not None and _are_stacked(before.box, part.box, tallest):
            box = before.box
            before.box = (
                min(box[0], part.box[0]),
                max(box[1], part.box[1]),
                min(box[2], part.box[2]),
                max(box[3], part.box[3]),
            )
            before.marks += part.marks
        else:
            merged.append(part)
    return merged


def no_specks(marks: Marks, height: float) -> NDArray[np.bool_]:
    """Which marks are neither specks nor lines under digits: bool [marks]."""
    heights, widths = marks.bottom - marks.top + 1, marks.right - marks.left + 1
    flat = (widths > _LONG * height) & (heights < _FLAT * height)
    kept: NDArray[np.bool_] = (marks.sizes >= max(2.0, _SPECK * height)) & ~flat
    return kept & (marks.ink > 0.002 * height * height)


def _overlap(marks: Marks, one: int, other: int) -> float:
    """How far two marks overlap up and down, as a part of the lower one's height."""
    common = min(marks.bottom[one], marks.bottom[other]) - max(marks.top[one], marks.top[other]) + 1
    return float(common) / float(min(marks.bottom[one] - marks.top[one], marks.bottom[other] - marks.top[other]) + 1)


def _distance(marks: Marks, one: int, other: int) -> float:
    across = max(marks.left[one] - marks.right[other], marks.left[other] - marks.right[one], 0)
    down = max(marks.top[one] - marks.bottom[other], marks.top[other] - marks.bottom[one], 0)
    return float(max(across, down))


def _are_stacked(one: Box, other: Box, tallest: int) -> bool:
    common = min(one[3], other[3]) - max(one[2], other[2])
    narrower = min(one[3] - one[2], other[3] - other[2])
    together = max(one[1], other[1]) - min(one[0], other[0])
    return common >= _STACKED * narrower and together <= _TALLEST * tallest
