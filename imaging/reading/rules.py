"""Rules, squares and grids of a sheet: straight thin lines from border to border.

`imaging.lines` does it for a picture of one digit, whose strokes are a large part of the picture and hide few lines.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.lines import runs_down

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LEAN = 0.14  # lines lean by at most 8 degrees
_COVERED = 0.6  # of its way that a line covers at least, where no stroke hides it,
_SEEN = 0.35  # and of its whole way
_REACHED = 0.4  # and of its way's first and last eighth
_CELLS = 96  # a way is looked at in so many cells, a cell is covered where any of its pixels is
_ROUNDS = 3  # lines of so many slopes are looked for in either direction
_THICK, _THINNEST = 1.3, 3  # lines are at most as thick as this many strokes, or so many pixels
_BARE = 0.3  # of a line's way at least that has no stroke along it
_MANY, _FINE = 3, 0.6  # so many lines are rules; fewer are if they are thinner than this part of a stroke
_SMALLEST = 24
_BUSY = 0.4  # more ink than this part of a picture is no writing


@dataclass(frozen=True, slots=True)
class Rules:
    """The lines of a sheet."""

    pixels: Mask
    """bool [height, width]."""
    level: int
    """Lines from the left to the right."""
    upright: int


def find_rules(ink: Floats, stroke: float, *, bold: float = 1.0) -> Rules:
    """The lines in `ink` float32 [height, width], 0 none to 1 full, but for strokes that cross them.

    `stroke` is the width of the strokes in pixels; lines may be `bold` times as thick as others.
    """
    mask = ink > 0
    if min(mask.shape) < _SMALLEST or mask.mean() > _BUSY:
        return Rules(np.zeros_like(mask), 0, 0)
    thickest = max(_THINNEST, round(_THICK * bold * stroke))
    level, levels = _across(mask, thickest, stroke)
    upright, uprights = _across(np.ascontiguousarray((mask & ~level).T), thickest, stroke)
    return Rules(level | upright.T, levels, uprights)


def _across(mask: Mask, thickest: int, stroke: float) -> tuple[Mask, int]:
    """The pixels of lines from the left to the right, and how many lines there are.

    One or two that are as thick as strokes may be strokes: of an H that fills the picture.
    """
    height, width = mask.shape
    runs = runs_down(mask)
    thick = np.nonzero(runs > thickest)
    runs[runs > thickest] = 0
    taken = np.zeros_like(mask)
    step = -(-width // _CELLS)
    cells = -(-width // step)
    apart = max(1, width // 256)  # a line of one pixel still covers two thirds of its way in the slope next to its own
    reach = apart * max(1, round(_LEAN * width / apart))
    ends = np.array(sorted(range(-reach, reach + 1, apart), key=abs))  # of equals the least slope is taken
    edge = max(1, cells // 8)
    columns = np.arange(width)
    hidden = np.unique(thick[0] * cells + thick[1] // step)
    thicknesses: list[float] = []
    for _ in range(_ROUNDS):
        rows, cols = np.nonzero((runs > 0) & ~taken)
        if not len(rows):
            break
        # A line may lie between two rows, so each pixel counts in its own and in the next.
        keys = np.unique(np.concatenate([rows, rows + 1]) * cells + np.tile(cols // step, 2))
        rows, cols = keys // cells, keys % cells
        behind = np.setdiff1d(hidden, keys, assume_unique=True)
        rows_behind, cols_behind = behind // cells, behind % cells
        best, chosen, most = None, None, 0.0
        for end in ends:
            down = reach - np.rint(end * (np.arange(cells) + 0.5) / cells).astype(np.int64)
            counts = np.bincount(rows + down[cols], minlength=height + 2 * reach + 2)
            strokes = np.bincount(rows_behind + down[cols_behind], minlength=height + 2 * reach + 2)
            found = np.flatnonzero((counts >= _COVERED * (cells - strokes)) & (counts >= _SEEN * cells))
            weight = float((counts[found].astype(np.float64) ** 4).sum())
            if weight > most * 1.02:
                best, chosen, most = int(end), found, weight
        if best is None or chosen is None:
            break
        offset = np.rint(best * (columns + 0.5) / width).astype(np.int64)
        before = np.count_nonzero(taken)
        for row in _groups(chosen):
            thickness = _take(runs, taken, row[0] - reach - 2, row[1] - reach + 1, offset, edge * step)
            thicknesses += [thickness] if thickness else []
        if np.count_nonzero(taken) == before:
            break
    if 0 < len(thicknesses) < _MANY and min(thicknesses) > _FINE * stroke:
        return np.zeros_like(mask), 0
    return taken, len(thicknesses)


def _groups(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    breaks = np.flatnonzero(np.diff(rows) > 2) + 1
    return [(int(group[0]), int(group[-1])) for group in np.split(rows, breaks) if len(group)]


def _take(runs: NDArray[np.int16], taken: Mask, first: int, last: int, offset: NDArray[np.int64], edge: int) -> float:
    """Mark in `taken` the thin runs of pixels of a line between two rows, which move down by `offset` along it.

    `runs` [height, width] has the length of the thin run down that each pixel is of. Returns the thickness of the line
    in pixels, 0 where there is none.
    """
    height, width = runs.shape
    rows = np.arange(first, last + 1)[:, None] + offset
    inside = (rows >= 0) & (rows < height)
    columns = np.broadcast_to(np.arange(width), rows.shape)
    band = np.zeros(rows.shape, np.int16)
    band[inside] = runs[rows[inside], columns[inside]]
    deepest = band.max(axis=0)
    present = deepest > 0
    if present.mean() < _SEEN - 0.05 or min(present[:edge].mean(), present[-edge:].mean()) < _REACHED:
        return 0.0
    # Strokes that run along the line are thicker.
    thickness = float(np.quantile(deepest[present], _BARE))
    own = (band > 0) & (band <= 1.5 * thickness + 1)
    taken[rows[own], columns[own]] = True
    return thickness
