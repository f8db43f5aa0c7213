"""An image of any kind -> the model's pixels, prepared as the model's training data was.

`mass` follows MNIST (http://yann.lecun.com/exdb/mnist/): the digit is fitted into a box of 20×20 keeping
its aspect, and placed in 28×28 so that its centre of mass is in the middle.

`blocks` follows the UCI data set Optical Recognition of Handwritten Digits, which scikit-learn's 8×8 digits
are taken from: a bitmap of 32×32 is cut into blocks of 4×4, and the pixels that are on are counted in each.
Its bitmaps came from NIST's form-based handprint recognition system (Garris et al., NISTIR 5469, 1994),
which takes the slant off a digit, makes its strokes equally thick and stretches it to 20×32.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from artifact.card import Preparation
from imaging.decode import ImageError, read_picture
from imaging.ground import quantile
from imaging.ink import Floats, crop, find_ink
from imaging.pixels import ImageWarning, describe
from imaging.strokes import grown, stroke_width

__all__ = ["Form", "ImageError", "Prepared", "place", "prepare"]

# MNIST's box as a part of its image, in either direction.
_BOX = 20 / 28
# Strokes are brought to at least and at most so many pixels in that box; half of MNIST's are.
_THINNEST, _THICKEST = 2.2, 2.8
# A picture of the model's own size whose digit fits the box but for this much is one of its data set, or made like it,
# when its strokes are between these widths: it is left alone.
_FITTED, _THIN, _THICK = 0.06, 1.3, 4.0
# While strokes are measured and thickened the picture has this many pixels for one of the model's.
_FINE = 6

# Pixels that a block has in either direction.
_BLOCK = 4
# Width of NIST's digits as a part of the bitmap, and the part of its pixels that are on.
_WIDE = 20 / 32
_ON = 0.3


class Form(Protocol):
    """What a model takes; its card says it."""

    @property
    def rows(self) -> int:
        """Height of an image in pixels."""

    @property
    def cols(self) -> int:
        """Width of an image in pixels."""

    @property
    def pixel_max(self) -> int:
        """Pixels lie in 0..pixel_max, ink bright."""

    @property
    def preparation(self) -> Preparation:
        """`mass` or `blocks`, see above."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the network is given for one image file."""

    pixels: NDArray[np.uint8]
    """uint8 [rows*cols], row-major, 0..pixel_max, ink bright."""
    warnings: tuple[ImageWarning, ...]
    """What looks wrong with the image."""


def prepare(data: bytes, form: Form, *, max_image_pixels: int) -> Prepared:
    """The pixels of one image file for a model that takes images of `form`.

    Grey, ink bright whatever it was, background taken off, contrast stretched, noise dropped, cropped to the
    ink, then scaled and centred as `form.preparation` says. Raises `ImageError`, see `read_picture`.
    """
    return prepare_grey(read_picture(data, max_image_pixels=max_image_pixels), form)


def prepare_grey(grey: Floats, form: Form) -> Prepared:
    """The pixels of one picture float32 [height, width], 0 black to 1 white, for a model that takes `form`."""
    found = find_ink(grey)
    pixels = np.zeros(form.rows * form.cols, np.uint8) if found.ink is None else place(found.ink, form)
    return Prepared(pixels, tuple(describe(code, form.pixel_max) for code in found.codes))


def place(ink: Floats, form: Form) -> NDArray[np.uint8]:
    """Ink float32 [height, width], 0 none to 1 full, some of it full, as pixels uint8 [rows*cols] of `form`."""
    shades = (_blocks if form.preparation == "blocks" else _mass)(ink, form.rows, form.cols)
    return np.rint(np.clip(shades, 0, 1) * form.pixel_max).astype(np.uint8).ravel()


def _mass(ink: Floats, rows: int, cols: int) -> Floats:
    """Fitted into the box, centred by mass: float32 [rows, cols]."""
    own = ink.shape == (rows, cols)
    ink = crop(ink)
    box_rows, box_cols = max(1, round(rows * _BOX)), max(1, round(cols * _BOX))
    scale = min(box_rows / ink.shape[0], box_cols / ink.shape[1])
    shape = _scaled(ink.shape, scale)
    if own and abs(1 / scale - 1) < _FITTED and _THIN <= stroke_width(ink) <= _THICK:
        small = _resized(ink, shape)
    else:
        fine = _resized(ink, _scaled(ink.shape, _FINE * scale))
        width = stroke_width(fine) / _FINE
        fine = grown(fine, (min(max(width, _THINNEST), _THICKEST) - width) * _FINE / 2)
        small = _resized(fine, shape)
    # As in MNIST, a fifth of the pixels with ink are full.
    small = np.minimum(small / np.float32(max(1e-6, quantile(small[small > 0.02 * small.max()], 0.8))), 1)
    mass = float(small.sum())
    # MNIST's middle of 28×28 is the pixel at 14, 14 counted from 0.
    top = round(rows / 2 - float(small.sum(axis=1) @ np.arange(shape[0])) / mass)
    left = round(cols / 2 - float(small.sum(axis=0) @ np.arange(shape[1])) / mass)
    top, left = min(max(top, 0), rows - shape[0]), min(max(left, 0), cols - shape[1])
    shades = np.zeros((rows, cols), np.float32)
    shades[top : top + shape[0], left : left + shape[1]] = small
    return shades


def _blocks(ink: Floats, rows: int, cols: int) -> Floats:
    """Ink counted in blocks of a bitmap: float32 [rows, cols] in steps of 1/16.

    A picture of rows×cols pixels is taken as counted already.
    """
    if ink.shape == (rows, cols):
        return ink
    ink = crop(_upright(crop(ink)))
    height, width = _BLOCK * rows, _BLOCK * cols
    widest = max(1, round(width * _WIDE))
    # Narrow digits are stretched half the way, so that a 1 is neither a hairline nor a bar.
    narrow = min(1.0, ink.shape[1] / ink.shape[0] * height / widest) ** 0.5
    wide = max(1, round(widest * narrow))
    left = (width - wide) // 2
    grey = np.zeros((height, width), np.float32)
    grey[:, left : left + wide] = _resized(ink, (height, wide))
    image = Image.fromarray((grey * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    blurred = np.asarray(image, np.float32)
    blurred = blurred / max(1, blurred.max())
    bitmap = blurred >= np.clip(quantile(blurred.ravel(), 1 - _ON), 0.12, 0.6)
    counted: Floats = bitmap.reshape(rows, _BLOCK, cols, _BLOCK).mean(axis=(1, 3), dtype=np.float32)
    return counted


def _upright(ink: Floats) -> Floats:
    """The ink sheared so that its slant, from the second moments, is gone."""
    height, width = ink.shape
    down, across = np.arange(height), np.arange(width)
    mass, by_row, by_col = float(ink.sum()), ink.sum(axis=1), ink.sum(axis=0)
    middle_row, middle_col = float(by_row @ down) / mass, float(by_col @ across) / mass
    spread = float(by_row @ (down - middle_row) ** 2)
    if spread == 0:
        return ink
    slant = float((down - middle_row) @ ink @ (across - middle_col)) / spread
    slant = min(max(slant, -1.0), 1.0)
    room = int(abs(slant) * height) + 1
    first = -slant * height if slant > 0 else 0.0
    image = Image.fromarray(np.ascontiguousarray(ink)).transform(
        (width + room, height),
        Image.Transform.AFFINE,
        (1, slant, first, 0, 1, 0),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(image, np.float32)


def _scaled(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _resized(ink: Floats, shape: tuple[int, int]) -> Floats:
    """`ink` at [rows, cols] of `shape`, antialiased."""
    if ink.shape == shape:
        return ink
    image = Image.fromarray(np.ascontiguousarray(ink))
    smaller = shape[0] <= ink.shape[0] and shape[1] <= ink.shape[1]
    filter_ = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    resized: Floats = np.asarray(image.resize((shape[1], shape[0]), filter_), np.float32)
    return resized.clip(0, 1)
