"""Data augmentation: strokes made thinner, thicker, blurred, noisy or broken, as other pens and cameras leave them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeChanges:
    """Bounds of random changes of each image. Values are uniform between 0 and the bound."""

    share: float
    """Share of the images that are changed, 0..1. Each of those gets every change by chance one half."""
    thinner: float
    """Part, 0..1, of a pixel by which the edges of strokes move inwards."""
    thicker: float
    """The same outwards. An image gets thinner or thicker strokes, not both."""
    blur: float
    """Pixels: standard deviation of a blur, at most 0.8."""
    noise: float
    """Standard deviation of the noise on and beside strokes, as a part of `pixel_max`."""
    gap: float
    """Pixels: radius of a gap in a stroke."""


_CHUNK = 1000  # images changed at a time, so that intermediate arrays fit into the cache
_BRIGHTER = 2.0  # at most; thinned strokes are made as bright as they were


def change_strokes(
    images: Images, changes: StrokeChanges, *, rows: int, cols: int, pixel_max: int, random: np.random.Generator
) -> Images:
    """The randomly changed `images`, float32 [N, rows*cols] in 0..pixel_max: same shape, order and range."""
    result = images.copy()
    chosen = np.flatnonzero(random.random(len(images)) < changes.share)
    for start in range(0, len(chosen), _CHUNK):
        some = chosen[start : start + _CHUNK]
        pictures = np.zeros((len(some), rows + 2, cols + 2), np.float32)
        pictures[:, 1:-1, 1:-1] = images[some].reshape(-1, rows, cols)
        pictures *= np.float32(1 / pixel_max)
        which = random.random((4, len(some))) < 0.5
        _change_width(pictures, which[0], changes, random)
        _break(pictures, which[1], changes.gap, random)
        _blur(pictures, which[2], changes.blur, random)
        _add_noise(pictures, which[3], changes.noise, random)
        inside = pictures[:, 1:-1, 1:-1].reshape(len(some), -1)
        result[some] = np.clip(inside, 0, 1) * np.float32(pixel_max)
    return result


def _change_width(
    pictures: Images, which: NDArray[np.bool_], changes: StrokeChanges, random: np.random.Generator
) -> None:
    """Move each pixel towards the least or the greatest of itself and its four neighbours."""
    thin = which & (random.random(len(which)) < 0.5)
    for chosen, bound, extreme in ((thin, changes.thinner, np.minimum), (which & ~thin, changes.thicker, np.maximum)):
        some = pictures[chosen]
        moved = some.copy()
        inner = moved[:, 1:-1, 1:-1]
        for beside in _neighbours(some):
            extreme(inner, beside, out=inner)
        some += _drawn(bound, len(some), random) * (moved - some)
        if extreme is np.minimum:
            before = pictures[chosen].max(axis=(1, 2), keepdims=True)
            after = some.max(axis=(1, 2), keepdims=True)
            some *= np.minimum(before / np.maximum(after, np.float32(1e-6)), np.float32(_BRIGHTER))
        pictures[chosen] = some


def _break(pictures: Images, which: NDArray[np.bool_], bound: float, random: np.random.Generator) -> None:
    """Leave a round gap about one random pixel with ink."""
    some = pictures[which]
    count, rows, cols = some.shape
    middle = ((some > 0.5) * random.random(some.shape, dtype=np.float32)).reshape(count, rows * cols).argmax(axis=1)
    down = np.arange(rows, dtype=np.float32)[:, None] - (middle // cols)[:, None, None]
    across = np.arange(cols, dtype=np.float32) - (middle % cols)[:, None, None]
    apart = np.sqrt(down**2 + across**2).astype(np.float32)
    # The edge of the gap is one pixel wide.
    pictures[which] = some * np.clip(apart - _drawn(bound, count, random) + np.float32(0.5), 0, 1)


def _blur(pictures: Images, which: NDArray[np.bool_], bound: float, random: np.random.Generator) -> None:
    """Mix each pixel with its neighbours, along either axis by weights with the variance of the blur."""
    some = pictures[which]
    beside = _drawn(bound, len(some), random) ** 2 / 2
    for _ in range(2):
        some[:, 1:-1] += beside * (some[:, :-2] + some[:, 2:] - 2 * some[:, 1:-1])
        some = some.swapaxes(1, 2)
    pictures[which] = some


def _add_noise(pictures: Images, which: NDArray[np.bool_], bound: float, random: np.random.Generator) -> None:
    """Add noise where a pixel or one of its neighbours has ink: the preparation leaves none elsewhere."""
    some = pictures[which]
    near = some.copy()
    inner = near[:, 1:-1, 1:-1]
    for beside in _neighbours(some):
        np.maximum(inner, beside, out=inner)
    noise = random.standard_normal(some.shape, dtype=np.float32)
    pictures[which] = some + _drawn(bound, len(some), random) * noise * (near > 0.1)


def _neighbours(pictures: Images) -> tuple[Images, ...]:
    """The pixels above, below, left and right of the inner ones."""
    return pictures[:, :-2, 1:-1], pictures[:, 2:, 1:-1], pictures[:, 1:-1, :-2], pictures[:, 1:-1, 2:]


def _drawn(bound: float, images: int, random: np.random.Generator) -> Images:
    """A number for each image, uniform in 0..bound, [images, 1, 1]."""
    return random.uniform(0, bound, (images, 1, 1)).astype(np.float32)
