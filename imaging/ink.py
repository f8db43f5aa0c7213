"""Ink in a picture: found whatever its colour and ground, freed of noise."""

import numpy as np
from numpy.typing import NDArray

from imaging.decode import VISIBLE

Floats = NDArray[np.float32]

# Ink fainter than this part of the strongest is taken for noise, as are departures of this many times
# the typical unevenness of the ground.
_FAINT = 0.12
_NOISES = 8.0
# Ink from this part of the strongest on decides where the digit ends.
_SURE = 0.3
# Specks are looked for in a grid of this many cells along the longer side; one that has less than this
# part of the ink of the largest stroke is dropped. The bar of a 5 drawn apart has a tenth or more.
_CELLS = 64
_SPECK = 0.02


def find_ink(grey: Floats) -> Floats | None:
    """The ink of a picture [height, width]: float32 of the same shape, 0 none to 1 full; None when blank.

    `grey` is 0 black to 1 white. The ground is what lies along the border, a slope of light included;
    whichever way most of the picture departs from it is ink. The strongest departures become 1.
    """
    departure, noise = _departure(grey)
    brighter, darker = np.maximum(departure, 0), np.maximum(-departure, 0)
    ink = brighter if np.vdot(brighter, brighter) >= np.vdot(darker, darker) else darker
    peak = float(ink.max())
    if peak < VISIBLE:
        return None
    # Full is the typical strength of sure ink, so that one dark speck does not make the strokes faint.
    full = float(np.median(ink[ink > peak / 2]))
    ink = np.minimum(ink / np.float32(full), np.float32(1))
    ink[ink < min(max(_FAINT, _NOISES * noise / full), 0.6)] = 0
    return _without_specks(ink)


def crop(ink: Floats) -> Floats:
    """The part of the picture [height, width] that has sure ink in it."""
    sure = ink >= _SURE
    rows, cols = np.flatnonzero(sure.any(axis=1)), np.flatnonzero(sure.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]


def _departure(grey: Floats) -> tuple[Floats, float]:
    """How much each pixel departs from the ground, and the median departure along the border."""
    height, width = grey.shape
    edge = 1 + min(grey.shape) // 64
    frame = np.ones(grey.shape, bool)
    frame[edge:-edge, edge:-edge] = False
    border = grey[frame]
    ground = np.median(border)
    noise = float(np.median(np.abs(border - ground)))
    flat = (grey - ground).astype(np.float32), noise
    if noise < 0.005 or min(height, width) < 32:
        return flat
    # Uneven light: a plane through the border, fitted again without what is far off it, which may be ink.
    rows, cols = np.nonzero(frame)
    terms = np.stack([np.ones_like(border), rows / height, cols / width], axis=1)
    near = np.abs(border - ground) < 4 * noise
    for _ in range(2):
        plane = np.linalg.lstsq(terms[near], border[near], rcond=None)[0]
        off = np.abs(border - terms @ plane)
        near = off < 4 * np.median(off) + 1e-6
    tilted = plane[0] + np.arange(height)[:, None] / height * plane[1] + np.arange(width) / width * plane[2]
    if float(np.median(off)) > 0.7 * noise:
        return flat
    return (grey - tilted).astype(np.float32), float(np.median(off))


def _without_specks(ink: Floats) -> Floats:
    """The same ink without connected parts that are tiny beside the largest."""
    cell = -(-max(ink.shape) // _CELLS)
    padded = np.pad(ink, [(0, -side % cell) for side in ink.shape])
    cells = padded.reshape(padded.shape[0] // cell, cell, padded.shape[1] // cell, cell).sum(axis=(1, 3))
    labels = _connected(cells > 0)
    amounts = np.bincount(labels.ravel(), weights=cells.ravel())
    kept = amounts >= _SPECK * amounts.max()
    if kept[amounts > 0].all():
        return ink
    mask = np.repeat(np.repeat(kept[labels], cell, axis=0), cell, axis=1)
    return np.where(mask[: ink.shape[0], : ink.shape[1]], ink, np.float32(0))


def _connected(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A number above 0 for each part of the mask that touches itself, corners included; 0 outside."""
    height, width = mask.shape
    labels = np.zeros((height + 2, width + 2), np.int64)
    inner = labels[1:-1, 1:-1]
    inner[mask] = np.arange(1, int(mask.sum()) + 1)
    while True:
        spread = np.maximum(np.maximum(labels[:-2], labels[1:-1]), labels[2:])
        spread = np.maximum(np.maximum(spread[:, :-2], spread[:, 1:-1]), spread[:, 2:]) * mask
        if np.array_equal(spread, inner):
            return inner
        inner[:] = spread
