"""Printed letters."""

import string

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imaging.prepare import Form, place

_SIDE = 128  # pixels along each side of the canvas
_SIZE = 45  # of the letters
# Matplotlib's own. Detectors are fitted on the first ones and evaluated on the others.
_FITTED = ("DejaVu Sans Mono", "STIXGeneral:italic", "cmr10", "cmss10", "cmb10", "DejaVu Serif:bold")
_JUDGED = ("DejaVu Sans", "DejaVu Serif:italic", "STIXGeneral", "cmtt10", "DejaVu Sans:bold")
# In some hand or typeface these have the shape of a digit.
_LIKE_DIGITS = "BDGIJOQSZbgijloqsz"
_TURN = 8  # degrees


def draw_printed(form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """A letter that does not look like a digit, a little turned, uint8 [rows*cols], prepared like digits by `form`."""
    letter = random.choice([each for each in string.ascii_letters if each not in _LIKE_DIGITS])
    turned = _draw(letter, str(random.choice(_FITTED))).rotate(random.uniform(-_TURN, _TURN), Image.Resampling.BILINEAR)
    return _place(turned, form)


def printed_letters(form: Form) -> NDArray[np.uint8]:
    """The alphabet in both cases and a few other typefaces, uint8 [N, rows*cols], including letters like O and l."""
    return np.stack([_place(_draw(letter, face), form) for face in _JUDGED for letter in string.ascii_letters])


def _draw(letter: str, face: str) -> Image.Image:
    from matplotlib import font_manager
    from PIL import ImageFont

    font = ImageFont.truetype(font_manager.findfont(face, fallback_to_default=False), _SIZE)
    canvas = Image.new("L", (_SIDE, _SIDE))
    ImageDraw.Draw(canvas).text((_SIDE // 2, _SIDE // 2), letter, 255, font=font, anchor="mm")
    return canvas


def _place(canvas: Image.Image, form: Form) -> NDArray[np.uint8]:
    return place(np.asarray(canvas, np.float32) / np.float32(255), form)
