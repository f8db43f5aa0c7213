"""Strokes of one width at every size."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imaging.ground import continued, slide

Floats = NDArray[np.float32]


def stroke_width(ink: Floats) -> float:
    """The mean width in pixels of the strokes of `ink` float32 [height, width], 0 none to 1 full.

    Twice the area by the outline. The sides of pixels overstate an outline of any direction by 4 / pi.
    """
    on = np.zeros((ink.shape[0] + 2, ink.shape[1] + 2), np.bool_)
    on[1:-1, 1:-1] = ink >= 0.5 * ink.max()
    sides = np.count_nonzero(on[1:] != on[:-1]) + np.count_nonzero(on[:, 1:] != on[:, :-1])
    return 2 * np.count_nonzero(on) / (sides * np.pi / 4)


def grown(ink: Floats, more: float) -> Floats:
    """`ink` [height, width] with its outline moved outwards by `more` pixels, inwards where that is negative.

    What moving inwards would take away altogether stays as it is. Comes back larger by what it grew.
    """
    if more > 0:
        room = int(np.ceil(more))
        return _between(np.pad(ink, room), more, lambda values, reach: _octagon(values, reach, np.maximum))
    return _between(np.pad(ink, 1), -more, _thinner)[1:-1, 1:-1]


def _between(ink: Floats, reach: float, move: Callable[[Floats, int], Floats]) -> Floats:
    """`move` by a fraction of pixels: between those by the whole numbers around it."""
    whole = int(reach)
    part = np.float32(reach - whole)
    near = move(ink, whole)
    if part < 0.05:
        return near
    between: Floats = near + part * (move(ink, whole + 1) - near)
    return between


def _thinner(ink: Floats, reach: int) -> Floats:
    eroded = _octagon(ink, reach, np.minimum)
    opened = _octagon(eroded, reach, np.maximum)
    # What the opening has not got are the parts too thin to lose anything.
    thin: Floats = np.maximum(eroded, ink - opened)
    return thin


def _octagon(ink: Floats, reach: int, pick: Callable[..., Floats]) -> Floats:
    """`pick` of the octagon of `reach` pixels around each pixel: squares and crosses by turns."""
    square = reach // 2
    if square:
        ink = slide(ink, 2 * square + 1, pick)
    for _ in range(reach - square):
        padded = continued(ink, 1)
        beside = pick(pick(padded[:-2, 1:-1], padded[2:, 1:-1]), pick(padded[1:-1, :-2], padded[1:-1, 2:]))
        ink = pick(ink, beside)
    return ink
