"""Where digits that touch may be cut: seams from top to bottom through as little ink as possible."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_WIDE = 0.55  # of the height: what is narrower is not cut
_TWO, _COARSE = 0.95, 0.2  # what is narrower than so many heights is seldom two digits: its seams lie so far apart
_STEP = 0.12  # of the height: the distance between the places at which seams are looked for
_DRIFT = 0.15  # of the height: a seam leaves its place by so much at most
_LEAST = 0.08  # of the height: so much is left on either side of a seam
_MOST = 24  # seams of one part
# The costs of a pixel of full ink, of one beside the seam's place, and of a step aside.
_INK, _AWAY, _ASIDE = 1.0, 0.015, 0.02


@dataclass(frozen=True, slots=True)
class Seam:
    """One cut."""

    cols: Ints
    """For each row the first column right of the cut."""
    ink: float
    """How much ink it goes through, in pixels of full ink."""


def find_seams(ink: Floats, height: float) -> list[Seam]:
    """The seams of a part's `ink` float32 [rows, cols], from the left, at most 24.

    `height` is that of the line's digits. Each seam is the cheapest around its place, and no two are the same.
    """
    rows, cols = ink.shape
    if cols < _WIDE * height:
        return []
    step = max(2, round((_STEP if cols > _TWO * height else _COARSE) * height), cols // _MOST)
    edge = max(1, round(_LEAST * height))
    places = np.arange(edge, cols - edge + 1, step)
    seams: list[Seam] = []
    for seam in _cheapest(ink, places, max(1, round(_DRIFT * height))):
        area = seam.cols.sum()
        if not edge * rows * 0.5 < area < (cols - edge * 0.5) * rows:
            continue
        if seams and np.abs(seams[-1].cols - seam.cols).mean() < 0.5 * step:
            if seam.ink < seams[-1].ink:
                seams[-1] = seam
            continue
        # Seams do not cross: what is between two of them is a part.
        if seams and (seam.cols < seams[-1].cols).any():
            seam = Seam(np.maximum(seam.cols, seams[-1].cols), seam.ink)
        seams.append(seam)
    return seams


def _cheapest(ink: Floats, places: Ints, drift: int) -> list[Seam]:
    """For each of `places` the cheapest way from the top to the bottom within `drift` columns of it."""
    rows, cols = ink.shape
    columns = places[:, None] + np.arange(-drift, drift + 1)
    inside = (columns >= 0) & (columns < cols)
    away = np.abs(np.arange(-drift, drift + 1)) * (_AWAY / drift)
    window = ink[:, columns.clip(0, cols - 1)]  # [rows, places, width]
    costs = np.where(inside, _INK * window + away, np.inf)
    total = costs[0]
    came = np.zeros(costs.shape, np.int8)
    for row in range(1, rows):
        left = np.concatenate([np.full((len(places), 1), np.inf), total[:, :-1] + _ASIDE], axis=1)
        right = np.concatenate([total[:, 1:] + _ASIDE, np.full((len(places), 1), np.inf)], axis=1)
        cheapest = np.minimum(np.minimum(left, total), right)
        came[row] = np.where(total <= cheapest, 0, np.where(left <= cheapest, -1, 1))
        total = cheapest + costs[row]
    path = np.empty((rows, len(places)), np.int64)
    path[-1] = total.argmin(axis=1)
    each = np.arange(len(places))
    for row in range(rows - 1, 0, -1):
        path[row - 1] = path[row] + came[row, each, path[row]]
    inks = np.take_along_axis(window, path[:, :, None], axis=2)[:, :, 0].sum(axis=0)
    return [Seam(columns[place, path[:, place]], float(inks[place])) for place in each]
