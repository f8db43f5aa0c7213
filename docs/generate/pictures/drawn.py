"""Pictures for the documentation: digits of pendigits drawn on paper, and what spoils pictures."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.data.sources import more_digits
from training.data.sources.pen import draw_curve

Floats = NDArray[np.float32]
SIDE = 240
"""Pixels along each side of a picture of one digit."""

PAPER, PEN = 0.93, 0.12
"""Brightness of the paper and of the ink, 0 black to 1 white."""


@cache
def _points() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    with np.load(more_digits.FILE) as arrays:
        return arrays["pendigits_points"] / 100 * (1, -1) + (0, 1), arrays["pendigits_labels"].astype(np.int64)


def strokes(label: int, writer: int, side: int = SIDE, width: float = 0.08) -> Floats:
    """Ink float32 [side, side], 0 none to 1 full, of the digit that the `writer`th writer of it wrote."""
    points, labels = _points()
    curve = draw_curve(points[np.flatnonzero(labels == label)[writer]], width)
    return 1 - np.asarray(Image.fromarray(curve).resize((side, side), Image.Resampling.LANCZOS), np.float32) / 255


def on_paper(ink: Floats, pen: float = PEN, paper: float = PAPER) -> Floats:
    """A picture float32 of the same size: `ink` of the brightness `pen` on `paper`."""
    return np.float32(paper) + np.float32(pen - paper) * ink


def placed(ink: Floats, height: int, width: int, top: int, left: int) -> Floats:
    """`ink` on an empty ground [height, width]; what lies outside is cut off."""
    ground = np.zeros((height, width), np.float32)
    first_row, first_col = max(0, -top), max(0, -left)
    part = ink[first_row : height - top, first_col : width - left]
    ground[top + first_row :, left + first_col :][: part.shape[0], : part.shape[1]] = part
    return ground


def shaded(grey: Floats) -> Floats:
    """Under light from one side, and the shadow of a hand over a corner."""
    rows, cols = np.mgrid[: grey.shape[0], : grey.shape[1]] / max(grey.shape)
    light = 1.0 - 0.5 * cols
    shadow = Image.fromarray(((rows + cols > 1.25) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(14))
    return (grey * light * (1 - 0.45 * np.asarray(shadow) / 255)).astype(np.float32)


def ruled(grey: Floats, step: int, *, squared: bool = False, shade: float = 0.45, lean: float = 0.02) -> Floats:
    """On paper with a line every `step` pixels, and with as many down if it is `squared`."""
    rows, cols = np.mgrid[: grey.shape[0], : grey.shape[1]]
    lines = (rows + lean * cols) % step < 2
    if squared:
        lines |= (cols - lean * rows) % step < 2
    return np.where(lines, np.minimum(grey, np.float32(shade)), grey)


def peppered(grey: Floats, share: float = 0.12) -> Floats:
    """With `share` of the pixels black or white, as from a poor sensor or a fax."""
    random = np.random.default_rng(7)
    spoiled = grey.copy()
    hit = random.random(grey.shape) < share
    spoiled[hit] = random.integers(0, 2, int(hit.sum()))
    return spoiled


def grainy(grey: Floats, sigma: float = 0.02) -> Floats:
    """With the noise of a camera."""
    noise = np.random.default_rng(3).normal(0, sigma, grey.shape)
    return np.clip(grey + noise, 0, 1).astype(np.float32)


def smudged() -> Floats:
    """Blank paper with a soft spot of shadow."""
    spot = np.zeros((SIDE, SIDE), np.uint8)
    spot[60:190, 70:150] = 40
    soft = np.asarray(Image.fromarray(spot).filter(ImageFilter.GaussianBlur(40)), np.float32) / 255
    return grainy(np.float32(PAPER) - soft, 0.004)
