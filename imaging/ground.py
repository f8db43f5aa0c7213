"""The ground of a picture and how far each pixel departs from it, whichever of the two is darker."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# The window that looks past a stroke, as a part of the longer side.
_WINDOW = 0.35
# In pictures smaller than this in either direction a stroke may be one pixel wide, or as wide as the window: their
# ground is the brightest there is.
_COARSE = 64
# Strokes have steps of this part of their strength.
_EDGE = 0.45
# Specks are isolated pixels that depart this far from the median of their neighbours; above this share of
# the pixels they are noise of the sensor or of a fax and not dots that someone made.
_SPECK, _MANY = 0.12, 0.004
# The picture is judged for polarity on a grid of this many cells along each side.
_GRID, _SMALL_GRID, _FINE_GRID = 20, 14, 48
# Brighter and darker parts are alike within this factor.
_ALIKE = 1.25
# A ground darker than this is taken to be this dark, so that shades of black are not divided up into ink. For bright
# ink, black is what is white: paper is rarely even, and hardly anyone writes brightly on it.
_BLACK, _WHITE = 0.3, 0.7
# The threshold is this part of Otsu's, within these bounds; ink is 1.
_OTSU_SHARE, LEAST, _MOST = 0.8, 0.12, 0.45
_BINS = 64


def without_salt(grey: Floats) -> Floats:
    """`grey` [height, width] with each pixel replaced by the median of 3×3 where isolated pixels are many.

    Pictures of fewer than 64 pixels a side are left alone: their strokes may be one pixel wide.
    """
    if min(grey.shape) < _COARSE:
        return grey
    padded = continued(grey, 1)
    # The median of the four neighbours beside a pixel: the mean of the middle two.
    up, down, left, right = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    low = np.maximum(np.minimum(up, down), np.minimum(left, right))
    high = np.minimum(np.maximum(up, down), np.maximum(left, right))
    isolated = (grey > high + _SPECK) & (grey > low + _SPECK) | (grey < low - _SPECK) & (grey < high - _SPECK)
    if np.count_nonzero(isolated) < _MANY * grey.size:
        return grey
    return _median_of_nine(padded)


def _median_of_nine(padded: Floats) -> Floats:
    """The median of each 3×3 of a picture padded by one pixel: columns sorted, then the middle of three."""
    above, here, below = padded[:-2], padded[1:-1], padded[2:]
    low, high = np.minimum(above, here), np.maximum(above, here)
    middle = np.maximum(low, np.minimum(high, below))
    low, high = np.minimum(low, below), np.maximum(high, below)
    greatest_low = np.maximum(np.maximum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    least_high = np.minimum(np.minimum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    return _middle(greatest_low, _middle(middle[:, :-2], middle[:, 1:-1], middle[:, 2:]), least_high)


def _middle(first: Floats, second: Floats, third: Floats) -> Floats:
    return np.maximum(np.minimum(first, second), np.minimum(np.maximum(first, second), third))


def ink_is_bright(grey: Floats) -> bool:
    """Whether the ink of `grey` [height, width] is brighter than its ground.

    The ground is the wide median around each place; the ink is what departs from it further in sum of squares.
    Beside an edge of light both do alike: then narrow marks decide, which an edge is not.
    """
    small = _shrunk(grey, _GRID if min(grey.shape) >= _COARSE else _SMALL_GRID)
    reach = max(small.shape) // 4
    windows = np.lib.stride_tricks.sliding_window_view(continued(small, reach), (2 * reach + 1,) * 2)
    count = (2 * reach + 1) ** 2
    medians = np.partition(windows.reshape(*small.shape, count), count // 2, axis=2)[..., count // 2]
    brighter, darker = _squares(small, medians), _squares(medians, small)
    if min(grey.shape) >= _COARSE and max(brighter, darker) < _ALIKE * min(brighter, darker):
        fine = _shrunk(grey, _FINE_GRID)
        opened = slide(slide(fine, 3, np.minimum), 3, np.maximum)
        brighter *= _squares(fine, opened)
        darker *= _squares(closing(fine, 3), fine)
    return brighter > darker


def _squares(above: Floats, below: Floats) -> float:
    """Sum of the squares of what one picture is brighter than the other."""
    return float((np.maximum(above - below, 0) ** 2).sum())


def _shrunk(grey: Floats, side: int) -> Floats:
    """The picture at no more than `side` pixels in either direction."""
    shape = min(side, grey.shape[0]), min(side, grey.shape[1])
    if shape == grey.shape:
        return grey
    image = Image.fromarray(np.ascontiguousarray(grey))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BOX), np.float32)


def departures(grey: Floats, *, bright: bool) -> tuple[Floats, float]:
    """How far each pixel [height, width] departs from the ground around it, as a part of the ground: 0 to 1.

    And the noise of the ground in the same unit: the standard deviation of what is not ink.

    `bright` says that the ink is brighter than the ground. The ground is the grey closing of the picture by a
    square wider than any stroke, so that slopes and edges of light stay in it.
    """
    light = 1 - grey if bright else grey
    fine = min(grey.shape) >= _COARSE
    departure = _departure(light, _box_of_three(light) if fine else light, bright=bright, beyond=False)
    if not fine:
        return np.maximum(departure, np.float32(0)), 0.0
    # Noise lifts the closing above the middle of the ground. Quantiles below it are free of ink.
    tenth, third = (quantile(departure[::2, ::2].ravel(), share) for share in (0.1, 0.35))
    noise = (third - tenth) / 0.9
    return np.maximum(departure - np.float32(max(0.0, third + 0.385 * noise)), np.float32(0)), noise


def has_edges(departure: Floats, ink: Mask, full: float) -> bool:
    """Whether the `ink` [height, width] goes from little departure to `full` within a fiftieth of the side."""
    if min(ink.shape) < _COARSE:
        return True
    near = 2 * max(1, round(0.02 * max(ink.shape))) + 1
    steps = slide(departure, near, np.maximum) - slide(departure, near, np.minimum)
    return quantile(steps[ink], 0.75) >= _EDGE * full


def lasting(grey: Floats, departure: Floats, *, bright: bool) -> Floats:
    """1 where the departure stays when the picture goes on beyond its borders as it is there, else 0.

    It does in strokes, also in most that touch the border, and not in slopes and corners of shadow.
    """
    light = 1 - grey if bright else grey
    if min(grey.shape) < _COARSE:
        return np.ones_like(grey)
    return (_departure(light, light, bright=bright, beyond=True) > 0.5 * departure).astype(np.float32)


def _departure(light: Floats, smooth: Floats, *, bright: bool, beyond: bool) -> Floats:
    """The same before noise is taken off, where ink is dark; `beyond`: the ground goes on after the border."""
    if min(light.shape) < _COARSE:
        ground: Floats = smooth.max(keepdims=True)
    else:
        window = max(3, round(_WINDOW * max(light.shape)) | 1)
        ground = _closing_beyond(smooth, window) if beyond else closing(smooth, window)
    departure = (ground - light) / np.maximum(ground, np.float32(_WHITE if bright else _BLACK))
    return departure.astype(np.float32, copy=False)


def _closing_beyond(grey: Floats, window: int) -> Floats:
    """The closing of a picture that goes on beyond its borders as it is there."""
    room = window // 2 + 1
    return closing(continued(grey, room), window)[room:-room, room:-room]


def closing(grey: Floats, window: int) -> Floats:
    """The grey closing of `grey` [height, width] by a square of `window` pixels: dark parts narrower vanish."""
    return slide(slide(grey, window, np.maximum), window, np.minimum)


def slide(values: Floats, window: int, pick: Callable[..., Floats]) -> Floats:
    """`pick` (np.maximum or np.minimum) of the square of `window` pixels around each of `values` [height, width].

    Beyond the border the picture goes on as it is there.
    """
    before = (window - 1) // 2
    for _ in range(2):
        values = values.take(_rows(len(values), before, window - 1 - before), axis=0)
        span = 1
        while span < window:
            step = min(span, window - span)
            values = pick(values[:-step], values[step:])
            span += step
        values = np.ascontiguousarray(values.T)
    return values


def continued(values: Floats, room: int) -> Floats:
    """`values` [height, width] with `room` more pixels on each side, which are those at the border.

    np.pad costs several times as much.
    """
    height, width = values.shape
    return values.take(_rows(height, room, room), axis=0).take(_rows(width, room, room), axis=1)


@lru_cache(256)
def _rows(count: int, before: int, after: int) -> NDArray[np.int64]:
    """The rows of a picture with `count` rows, with the first and the last repeated so many times."""
    rows: NDArray[np.int64] = np.clip(np.arange(-before, count + after), 0, count - 1)
    return rows


def quantile(values: Floats, share: float) -> float:
    """The value below which this share of float32 `values` [N] lies, 0..1, between two of them if it must be.

    np.quantile costs several times as much.
    """
    place = share * (values.size - 1)
    low = int(place)
    if low + 1 >= values.size:
        return float(values.max())
    near = np.partition(values, (low, low + 1))[low : low + 2].tolist()
    between: float = near[0] + (place - low) * (near[1] - near[0])
    return between


def threshold(departure: Floats, full: float) -> float:
    """From which part of `full` on a departure is ink: 0.8 of Otsu's threshold, within 0.12 and 0.45.

    N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", 1979.
    """
    bins = np.minimum(departure * np.float32(_BINS / full), _BINS - 1).astype(np.uint8)
    counts = np.bincount(bins.ravel(), minlength=_BINS)
    below, sums = counts.cumsum(), (counts * (np.arange(_BINS) + 0.5)).cumsum()
    above = below[-1] - below
    # Where nothing is below, or above, there is nothing to tell apart.
    between = below * above * (sums / np.maximum(below, 1) - (sums[-1] - sums) / np.maximum(above, 1)) ** 2
    best = int(between[:-1].argmax()) + 1
    return min(max(_OTSU_SHARE * best / _BINS, LEAST), _MOST)


def _box_of_three(values: Floats) -> Floats:
    """The mean of 3×3 around each pixel."""
    padded = continued(values, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    smooth: Floats = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) * np.float32(1 / 9)
    return smooth
