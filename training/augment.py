"""Small random warps of images, so that a network learns shapes and not the pixels of its training set.

After P. Simard, D. Steinkraus, J. Platt, "Best Practices for Convolutional Neural Networks Applied to
Visual Document Analysis", ICDAR 2003. A warp moves pixels linearly, so it is one sparse matrix of
rows*cols × rows*cols; the images of one group share it, which costs a tenth of a warp for each image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Warp:
    """How far a warp may go; each bound holds in both directions, drawn evenly."""

    rotation: float
    """Degrees."""
    scale: float
    """Logarithm of the change in height, and likewise in width."""
    shear: float
    """Columns moved per row."""
    shift: float
    """Pixels, down and across."""
    elastic: float
    """Pixels (standard deviation) that each place moves on its own, its neighbours going with it."""
    group: int = 500
    """Images that share a warp."""


_ELASTIC_REACH = 4.0  # pixels: the standard deviation of the Gaussian that makes neighbours go together


def warped(
    images: NDArray[np.float32], warp: Warp, *, rows: int, cols: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Each of `images` float32 [N, rows*cols] under a random warp: same shape, order and range.

    What comes in from beyond the edge is 0, the background.
    """
    result = np.empty_like(images)
    order = random.permutation(len(images))
    for start in range(0, len(images), warp.group):
        members = order[start : start + warp.group]
        result[members] = (_matrix(warp, rows, cols, random) @ images[members].T).T
    return result


def _matrix(warp: Warp, rows: int, cols: int, random: np.random.Generator) -> Any:
    """One warp: a sparse float32 matrix by which each new pixel is a bilinear mix of four old ones."""
    from scipy import sparse

    down, across = _sources(warp, rows, cols, random)
    top, left = np.floor(down).astype(np.int64), np.floor(across).astype(np.int64)
    targets, sources, shares = [], [], []
    for row, row_share in ((top, top + 1 - down), (top + 1, down - top)):
        for col, col_share in ((left, left + 1 - across), (left + 1, across - left)):
            inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
            targets.append(np.flatnonzero(inside))
            sources.append((row * cols + col)[inside])
            shares.append((row_share * col_share)[inside].astype(np.float32))
    places = (np.concatenate(targets), np.concatenate(sources))
    return sparse.csr_array((np.concatenate(shares), places), shape=(rows * cols, rows * cols))


def _sources(
    warp: Warp, rows: int, cols: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each new pixel the row and the column, [rows, cols] each, where it was before the warp."""
    from scipy.ndimage import gaussian_filter

    down, across = np.mgrid[0:rows, 0:cols].astype(np.float64)
    down -= (rows - 1) / 2
    across -= (cols - 1) / 2
    angle = np.deg2rad(random.uniform(-warp.rotation, warp.rotation))
    high, wide = np.exp(random.uniform(-warp.scale, warp.scale, 2))
    slant = random.uniform(-warp.shear, warp.shear)
    shift = random.uniform(-warp.shift, warp.shift, 2)
    tall, broad = high * down, slant * down + wide * across
    moved = (
        np.cos(angle) * tall - np.sin(angle) * broad + (rows - 1) / 2 + shift[0],
        np.sin(angle) * tall + np.cos(angle) * broad + (cols - 1) / 2 + shift[1],
    )
    if warp.elastic:
        for place in moved:
            field = gaussian_filter(random.uniform(-1, 1, (rows, cols)), _ELASTIC_REACH, mode="constant")
            place += warp.elastic * field / max(field.std(), 1e-12)
    return moved
