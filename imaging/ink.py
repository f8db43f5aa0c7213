"""Ink in a picture: found whatever its colour and ground, freed of noise, lines and neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.decode import VISIBLE
from imaging.ground import (
    LEAST,
    departures,
    has_edges,
    ink_is_bright,
    lasting,
    quantile,
    slide,
    threshold,
    without_salt,
)
from imaging.lines import without_lines
from imaging.marks import digit_marks, find_marks
from imaging.pixels import WarningCode
from imaging.strokes import stroke_width

Floats = NDArray[np.float32]

# Ink is looked for in a picture of at most this many pixels along the longer side.
_SIDE = 256
# A digit smaller than this in a reduced picture is looked at again, from nearer, with so much around it.
_SMALL, _AROUND = 64, 0.4
# Departures of this many times the typical unevenness of the ground are noise.
_NOISES = 7.0
FAINT = 0.15
"""Ink that departs from its ground by less than this can hardly be seen."""

# Below this side a pixel is a large part of a stroke.
_SOFT = 64
# Of ink that can hardly be seen, this part is in the digit. Elsewhere it is grain of the paper.
_GATHERED = 0.6
# Of the pixels of a stroke at the border this part stays where the picture is continued.
_LASTING = 0.6
# Ink from this part of the strongest on decides where the digit ends.
_SURE = 0.3
# A cut stroke has at least this part of the pixels at the border that it has half its width inside.
_CUT = 0.4


@dataclass(frozen=True, slots=True)
class Found:
    """The ink of one picture."""

    ink: Floats | None
    """float32 [height, width], 0 none to 1 full, of the digit alone; None for a blank picture."""
    codes: tuple[WarningCode, ...]
    """What was seen on the way, each once."""


@dataclass(frozen=True, slots=True)
class StoodOut:
    """What stands out from the ground of a picture."""

    ink: Floats
    """float32 [height, width], 0 none to 1 full."""
    departure: Floats
    """The same before what is too weak is dropped, 0 to 1 as a part of the ground."""
    full: float
    """The departure of full ink."""
    noise: float
    """The standard deviation of the ground's departure."""


def find_ink(grey: Floats) -> Found:
    """The ink of a picture float32 [height, width], 0 black to 1 white, at no more than 256 pixels a side.

    The ground is what is wider than a stroke. Ink may be darker or brighter than it; the typical strength of sure
    ink becomes 1. Lines from border to border, specks and parts of neighbours are left out.
    """
    small, factor = _reduced(grey)
    bright = ink_is_bright(small)
    found, box = _find(small, bright)
    if box is None or factor == 1 or max(box[1] - box[0], box[3] - box[2]) >= _SMALL:
        return found
    around = round(_AROUND * max(box[1] - box[0], box[3] - box[2])) + 2
    top, left = (factor * max(0, edge - around) for edge in (box[0], box[2]))
    bottom, right = factor * (box[1] + around), factor * (box[3] + around)
    nearer, _ = _find(_reduced(grey[top:bottom, left:right])[0], bright)
    return found if nearer.ink is None else Found(nearer.ink, found.codes)


def crop(ink: Floats) -> Floats:
    """The part of the picture [height, width] that has sure ink in it."""
    top, bottom, left, right = _box(ink)
    return ink[top:bottom, left:right]


def _box(ink: Floats) -> tuple[int, int, int, int]:
    sure = ink >= _SURE
    rows, cols = np.flatnonzero(sure.any(axis=1)), np.flatnonzero(sure.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1


def _reduced(grey: Floats) -> tuple[Floats, int]:
    """The picture reduced by a whole factor to at most `_SIDE` pixels a side, and the factor."""
    factor = -(-max(grey.shape) // _SIDE)
    if factor == 1:
        return grey, 1
    return np.asarray(Image.fromarray(np.ascontiguousarray(grey)).reduce(factor), np.float32), factor


def _find(grey: Floats, bright: bool) -> tuple[Found, tuple[int, int, int, int] | None]:
    """The ink of a picture of at most 256 pixels a side, and the box it lies in: top, bottom, left, right."""
    blank = Found(None, (WarningCode.BLANK,)), None
    stood_out = find_departures(grey, bright)
    if stood_out is None:
        return blank
    ink, departure, full = stood_out.ink, stood_out.departure, stood_out.full
    ink, lined = without_lines(ink)
    if not ink.any():
        return blank
    marks = find_marks(ink)
    kept, several = digit_marks(marks)
    if full < FAINT and marks.ink[kept].sum() < _GATHERED * marks.ink.sum():
        return blank
    mask = marks.mask(kept)
    if min(ink.shape) < _SOFT:
        # The outline of a small digit is mostly pixels that are ink in part.
        ink = np.minimum(departure / np.float32(full), np.float32(1))
        ink[ink < LEAST] = 0
        mask = slide(mask.astype(np.float32), 3, np.maximum) > 0
    ink = np.where(mask, ink, np.float32(0))
    if float(ink.max()) < _SURE or not has_edges(departure, ink > 0, full):
        return blank
    codes = [
        code
        for code, seen in (
            (WarningCode.LINES_REMOVED, lined),
            (WarningCode.SEVERAL_MARKS, several),
            (WarningCode.TOUCHES_BORDER, bool(marks.borders()[kept].any()) and _is_cut(ink)),
            (WarningCode.LOW_CONTRAST, full < FAINT),
        )
        if seen
    ]
    return Found(ink, tuple(codes)), _box(ink)


def find_departures(grey: Floats, bright: bool) -> "StoodOut | None":
    """What stands out from the ground of a picture and is no shadow, lines included; None where nothing does."""
    grey = without_salt(grey)
    departure, noise = departures(grey, bright=bright)
    ink, full = _above_noise(departure, noise)
    if ink is None:
        return None
    if _touches(ink) and _shaded(ink, stays := lasting(grey, departure, bright=bright)):
        departure = departure * stays
        ink, full = _above_noise(departure, noise)
        if ink is None or full < FAINT:
            return None
    return StoodOut(ink, departure, full, noise)


def _above_noise(departure: Floats, noise: float) -> tuple[Floats | None, float]:
    """The ink of what departs from the ground, 0 none to 1 full, and how far full departs; None where nothing does."""
    peak = float(departure.max())
    if peak < max(VISIBLE, _NOISES * noise):
        return None, 0.0
    # Full is the typical strength of sure ink, so that one dark speck does not make the strokes faint.
    full = quantile(departure[departure > peak / 2], 0.5)
    least = min(max(threshold(departure, full), _NOISES * noise / full), 0.6)
    ink = np.minimum(departure / np.float32(full), np.float32(1))
    ink[ink < least] = 0
    return ink, full


def _is_cut(ink: Floats) -> bool:
    """Whether strokes meet a border over their own width, and not in a bend that widens further inside."""
    full = ink >= 0.5 * ink.max()
    width = stroke_width(ink)
    deep = min(max(1, round(width / 2)), min(ink.shape) - 1)
    for side in (full, full[::-1], full.T, full.T[::-1]):
        at_border = np.count_nonzero(side[0])
        if at_border >= width and at_border >= _CUT * np.count_nonzero(side[deep]):
            return True
    return False


def _touches(ink: Floats) -> bool:
    return any(side.any() for side in (ink[:2], ink[-2:], ink[:, :2], ink[:, -2:]))


def _shaded(ink: Floats, stays: Floats) -> bool:
    """Whether some mark is a slope or a corner of light at the border rather than a stroke, see `lasting`."""
    marks = find_marks(ink)
    return bool((marks.sums(stays * (ink > 0)) < _LASTING * marks.sums((ink > 0).astype(np.float32))).any())
