"""Images of two digits and of parts of one: what a picture of several digits gives where it is cut wrongly."""

import numpy as np
from numpy.typing import NDArray

from imaging.ink import crop
from imaging.prepare import Form, place
from training.data.dataset import Part

Floats = NDArray[np.float32]

_LAP, _GAP = 0.15, 0.3  # two digits overlap by so much of the narrower one, or stand so far apart, in heights
_PART = (0.3, 0.7)  # of the width of a digit that is cut, what is kept


def draw_pairs(digits: NDArray[np.uint8], count: int, form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """Two of `digits` uint8 [N, rows*cols] side by side, as one image: uint8 [count, rows*cols]."""
    pictures = []
    for one, other in random.integers(0, len(digits), (count, 2)):
        left, right = _ink(digits[one], form), _ink(digits[other], form)
        room = min(left.shape[1], right.shape[1])
        height = max(len(left), len(right))
        apart = random.uniform(0, _GAP * height) if random.random() < 0.3 else -random.uniform(0, _LAP * room)
        start = left.shape[1] + round(apart)
        pair = np.zeros((height + 2, start + right.shape[1]), np.float32)
        for ink, column in ((left, 0), (right, start)):
            row = int(random.integers(0, len(pair) - len(ink) + 1))
            part = pair[row : row + len(ink), column : column + ink.shape[1]]
            np.maximum(part, ink, out=part)
        pictures.append(place(pair, form))
    return np.stack(pictures)


def draw_parts(part_of: Part, count: int, form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """Parts of digits, left or right, some beside a part of another: uint8 [count, rows*cols].

    Ones are left out, since their parts are ones.
    """
    digits = part_of.pixels[part_of.labels != 1]
    pictures = []
    for one, other in random.integers(0, len(digits), (count, 2)):
        ink = _ink(digits[one], form)
        cut = max(1, round(ink.shape[1] * random.uniform(*_PART)))
        from_left = random.random() < 0.5
        part = ink[:, :cut] if from_left else ink[:, -cut:]
        if random.random() < 0.4:
            beside = _ink(digits[other], form)
            more = max(1, round(beside.shape[1] * random.uniform(*_PART)))
            piece = beside[:, -more:] if from_left else beside[:, :more]
            tall = max(len(part), len(piece))
            padded = [np.pad(each, ((tall - len(each), 0), (0, 0))) for each in (piece, part)]
            part = np.concatenate(padded if from_left else padded[::-1], axis=1)
        pictures.append(place(part if part.max() >= 0.5 else np.tile(ink, (1, 2)), form))
    return np.stack(pictures)


def _ink(pixels: NDArray[np.uint8], form: Form) -> Floats:
    return crop(pixels.reshape(form.rows, form.cols).astype(np.float32) / np.float32(form.pixel_max))
