"""Small random warps of images, so that a network learns shapes and not the pixels of its training set.

After P. Simard, D. Steinkraus, J. Platt, "Best Practices for Convolutional Neural Networks Applied to
Visual Document Analysis", ICDAR 2003, in two kinds. A `Warp` is for networks so small that learning takes no
longer than warping: it moves pixels linearly, so it is one sparse matrix of rows*cols × rows*cols, and the
images of one group share it, which costs a tenth of a warp for each image. A `Distortion` is for networks so
large that they would learn such groups by heart: no two images go the same way.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Distortion:
    """How far each image is distorted, for itself; the bounds are those of `Warp`."""

    rotation: float
    """Degrees."""
    scale: float
    """Logarithm of the change in height, and likewise in width."""
    shear: float
    """Columns moved per row."""
    shift: float
    """Pixels, down and across."""
    alpha: float
    """Pixels by which the blurred displacements, which were drawn evenly from -1..1, are multiplied."""
    sigma: float
    """Pixels: standard deviation of the Gaussian by which the displacements are blurred."""


_ELASTIC_REACH = 4.0  # pixels: the standard deviation of the Gaussian that makes neighbours go together
_CHUNK = 1000  # images distorted at a time, so that what is in the works stays in the cache


def augmented(
    images: NDArray[np.float32], warp: Warp | Distortion, *, rows: int, cols: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Each of `images` float32 [N, rows*cols] under a random warp: same shape, order and range.

    What comes in from beyond the edge is 0, the background.
    """
    result = np.empty_like(images)
    if isinstance(warp, Distortion):
        for start in range(0, len(images), _CHUNK):
            pictures = images[start : start + _CHUNK].reshape(-1, rows, cols)
            moved = _sampled(pictures, *_own_sources(warp, len(pictures), rows, cols, random))
            result[start : start + _CHUNK] = moved.reshape(-1, rows * cols)
        return result
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


def _own_sources(
    distortion: Distortion, images: int, rows: int, cols: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What `_sources` gives, [images, rows, cols] each, for each image another."""

    def drawn(bound: float, *shape: int) -> NDArray[np.float32]:
        return random.uniform(-bound, bound, (*shape, images, 1, 1)).astype(np.float32)

    angle = np.deg2rad(drawn(distortion.rotation))
    high, wide = np.exp(drawn(distortion.scale, 2))
    slant = drawn(distortion.shear)
    shift = drawn(distortion.shift, 2)
    down = np.arange(rows, dtype=np.float32)[:, None] - np.float32((rows - 1) / 2)
    across = np.arange(cols, dtype=np.float32) - np.float32((cols - 1) / 2)
    cos, sin = np.cos(angle), np.sin(angle)
    # The blur is linear along either axis: a matrix from each side.
    noise = random.random((2, images, rows, cols), dtype=np.float32) * 2 - 1
    elastic = _blur(rows, distortion.sigma) @ noise @ _blur(cols, distortion.sigma) * np.float32(distortion.alpha)
    return (
        (cos * high - sin * slant) * down - sin * wide * across + elastic[0] + shift[0] + np.float32((rows - 1) / 2),
        (sin * high + cos * slant) * down + cos * wide * across + elastic[1] + shift[1] + np.float32((cols - 1) / 2),
    )


def _blur(size: int, sigma: float) -> NDArray[np.float32]:
    """A Gaussian as a matrix [size, size]; beyond the edge there is nothing to blur."""
    apart = np.arange(size)[:, None] - np.arange(size)
    far = np.arange(-np.ceil(6 * sigma), np.ceil(6 * sigma) + 1)
    bell: NDArray[np.float64] = np.exp(-0.5 * (apart / sigma) ** 2) / np.exp(-0.5 * (far / sigma) ** 2).sum()
    return bell.astype(np.float32)


def _sampled(
    pictures: NDArray[np.float32], down: NDArray[np.float32], across: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`pictures` [N, rows, cols] read at the places `down` and `across`, of the same shape, bilinearly."""
    images, rows, cols = pictures.shape
    # A frame of background: one pixel before, two behind, so that the neighbours of every place are there.
    wide = cols + 3
    framed = np.zeros((images, rows + 3, wide), np.float32)
    framed[:, 1:-2, 1:-2] = pictures
    down, across = np.clip(down, -1, rows) + 1, np.clip(across, -1, cols) + 1
    top, left = down.astype(np.int32), across.astype(np.int32)
    down_share, across_share = down - top, across - left
    corner = top * wide + left + (np.arange(images, dtype=np.int32) * (rows + 3) * wide)[:, None, None]

    def mixed_across(offset: int) -> NDArray[np.float32]:
        here, beside = (framed.take(corner + offset + step, mode="clip") for step in (0, 1))
        mixed: NDArray[np.float32] = here + across_share * (beside - here)
        return mixed

    upper, lower = mixed_across(0), mixed_across(wide)
    return upper + down_share * (lower - upper)
