"""How many lines of digits a model reads without a mistake."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imaging.prepare import Form
from imaging.reading.choose import choose
from imaging.reading.segment import segment
from training.data.dataset import Part
from training.data.lines import LONGEST, draw_line

Score = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Pixels uint8 [N, rows*cols] -> scores [N, classes] and the chances that an image shows no digit, [N]."""

_SEED, _SHORTEST = 5, 2


def evaluate_reading(score: Score, digits: Part, form: Form, lines: int) -> dict[str, dict[str, int]]:
    """Counts for lines of two to eight of `digits` that stand apart, and as many that touch.

    A line is right if the reading has all its digits in their order and no other. `lines` pictures of each kind are
    drawn as `training.data.lines` does, always the same ones.
    """
    random = np.random.default_rng(_SEED)
    figures = {}
    for kind in ("apart", "touching"):
        right = 0
        for _ in range(lines):
            chosen = random.integers(0, len(digits), random.integers(_SHORTEST, LONGEST + 1))
            own = Part(digits.pixels[chosen], digits.labels[chosen])
            picture = draw_line(own, form, random, touching=kind == "touching")
            found = segment(picture.grey, form)
            scores, chances = score(found.pixels)
            labels = scores.argmax(axis=1)
            read = choose(found, scores.astype(np.float32), labels, chances.astype(np.float32))
            right += [labels[each.row] for line in read for each in line.candidates] == picture.labels
        figures[kind] = {"lines": lines, "right": right}
    return figures
