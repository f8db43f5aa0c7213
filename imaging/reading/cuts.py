"""Where digits that touch may be cut: seams from top to bottom through as little ink as possible."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_WIDE = 0.55  # of the height: what is narrower is not cut
_STEP = 0.12  # of the height: the distance between the places at which seams are looked for
_DRIFT = 0.15  # of the height: a seam leaves its place by so much at most
_LEAST = 0.08  # of the height: so much is left on either side of a seam
_MOST = 24  # seams of one part
_INK, _AWAY = 1.0, 0.015  # the costs of a pixel of full ink, and of one beside the seam's place


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
    step = max(2, round(_STEP * height), cols // _MOST)
    edge = max(1, round(_LEAST * height))
    seams: list[Seam] = []
    for place in range(edge, cols - edge + 1, step):
        seam = _seam(ink, place, max(1, round(_DRIFT * height)))
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


def _seam(ink: Floats, place: int, drift: int) -> Seam:
    """The cheapest way from the top to the bottom that stays within `drift` columns of `place`."""
    rows, cols = ink.shape
    first, last = max(0, place - drift), min(cols, place + drift + 1)
    window = ink[:, first:last]
    costs = _INK * window + np.float32(_AWAY) * np.abs(np.arange(first, last) - place).astype(np.float32) / max(
        1, drift
    )
    width = last - first
    came = np.zeros((rows, width), np.int64)
    total = costs[0].copy()
    columns = np.arange(width)
    for row in range(1, rows):
        padded = np.pad(total, 1, constant_values=np.inf)
        choices = np.stack([padded[1:-1], padded[:-2] + 0.02, padded[2:] + 0.02])
        pick = choices.argmin(axis=0)
        came[row] = columns + np.array([0, -1, 1])[pick]
        total = choices[pick, columns] + costs[row]
    path = np.empty(rows, np.int64)
    path[-1] = int(total.argmin())
    for row in range(rows - 1, 0, -1):
        path[row - 1] = came[row, path[row]]
    return Seam(path + first, float(window[np.arange(rows), path].sum()))
