"""Data augmentation: small random distortions of images, so that a network learns shapes rather than pixels.

After P. Simard, D. Steinkraus, J. Platt, "Best Practices for Convolutional Neural Networks Applied to
Visual Document Analysis", ICDAR 2003, in two kinds. The images of a group share a `SharedDistortion`, which
is one sparse matrix of rows*cols × rows*cols. That costs a tenth of a `Distortion`, which suits small networks:
their augmentation would otherwise take longer than their learning. A large network would memorise the groups, so
it gets a `Distortion`, which is drawn for each image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedDistortion:
    """Bounds of a random distortion. Each holds in both directions; values are uniform between them."""

    rotation: float
    """Degrees."""
    scale: float
    """Logarithm of the change in height, and likewise in width."""
    shear: float
    """Columns moved per row."""
    shift: float
    """Pixels, down and across."""
    elastic: float
    """Standard deviation, in pixels, of the smooth displacement of each pixel."""
    group: int = 500
    """Images that share a distortion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distortion:
    """Bounds of a random distortion of each single image, see `SharedDistortion`."""

    rotation: float
    """Degrees."""
    scale: float
    """Logarithm of the change in height, and likewise in width."""
    shear: float
    """Columns moved per row."""
    shift: float
    """Pixels, down and across."""
    alpha: float
    """Pixels: factor of the blurred displacements, which are uniform in -1..1 before the blur."""
    sigma: float
    """Pixels: standard deviation of the Gaussian blur of the displacements."""


_ELASTIC_REACH = 4.0  # pixels: standard deviation of the Gaussian blur of the displacements
_CHUNK = 1000  # images distorted at a time, so that intermediate arrays fit into the cache


def augment(
    images: NDArray[np.float32],
    distortion: SharedDistortion | Distortion,
    *,
    rows: int,
    cols: int,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """The randomly distorted `images`, float32 [N, rows*cols]: same shape, order and range.

    Pixels from outside of an image are 0, the background.
    """
    result = np.empty_like(images)
    if isinstance(distortion, Distortion):
        for start in range(0, len(images), _CHUNK):
            pictures = images[start : start + _CHUNK].reshape(-1, rows, cols)
            moved = _sampled(pictures, *_own_sources(distortion, len(pictures), rows, cols, random))
            result[start : start + _CHUNK] = moved.reshape(-1, rows * cols)
        return result
    order = random.permutation(len(images))
    for start in range(0, len(images), distortion.group):
        members = order[start : start + distortion.group]
        result[members] = (_matrix(distortion, rows, cols, random) @ images[members].T).T
    return result


def _matrix(distortion: SharedDistortion, rows: int, cols: int, random: np.random.Generator) -> Any:
    """One distortion: a sparse float32 matrix by which each new pixel is a bilinear mix of four old ones."""
    from scipy import sparse

    down, across = _sources(distortion, rows, cols, random)
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
    distortion: SharedDistortion, rows: int, cols: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Source row and source column of each new pixel, [rows, cols] each."""
    from scipy.ndimage import gaussian_filter

    down, across = np.mgrid[0:rows, 0:cols].astype(np.float64)
    down -= (rows - 1) / 2
    across -= (cols - 1) / 2
    angle = np.deg2rad(random.uniform(-distortion.rotation, distortion.rotation))
    high, wide = np.exp(random.uniform(-distortion.scale, distortion.scale, 2))
    slant = random.uniform(-distortion.shear, distortion.shear)
    shift = random.uniform(-distortion.shift, distortion.shift, 2)
    tall, broad = high * down, slant * down + wide * across
    moved = (
        np.cos(angle) * tall - np.sin(angle) * broad + (rows - 1) / 2 + shift[0],
        np.sin(angle) * tall + np.cos(angle) * broad + (cols - 1) / 2 + shift[1],
    )
    if distortion.elastic:
        for place in moved:
            field = gaussian_filter(random.uniform(-1, 1, (rows, cols)), _ELASTIC_REACH, mode="constant")
            place += distortion.elastic * field / max(field.std(), 1e-12)
    return moved


def _own_sources(
    distortion: Distortion, images: int, rows: int, cols: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Source rows and source columns of each image, [images, rows, cols] each."""

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
    """A Gaussian blur as a matrix [size, size], with zeros beyond the edge."""
    apart = np.arange(size)[:, None] - np.arange(size)
    far = np.arange(-np.ceil(6 * sigma), np.ceil(6 * sigma) + 1)
    bell: NDArray[np.float64] = np.exp(-0.5 * (apart / sigma) ** 2) / np.exp(-0.5 * (far / sigma) ** 2).sum()
    return bell.astype(np.float32)


def _sampled(
    pictures: NDArray[np.float32], down: NDArray[np.float32], across: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`pictures` [N, rows, cols] sampled bilinearly at the rows `down` and columns `across`, of the same shape."""
    images, rows, cols = pictures.shape
    # A frame of background, one pixel before and two behind, so that every place has neighbours.
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
