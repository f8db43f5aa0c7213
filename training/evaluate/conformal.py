"""Thresholds for the candidates, see `artifact.prediction_sets`, and what they are worth where the class is known.

After A. N. Angelopoulos, S. Bates, "A Gentle Introduction to Conformal Prediction and Distribution-Free Uncertainty
Quantification", 2021: how little an image conforms is 1 - the score of its true class, and the threshold for a
coverage is that quantile of the n images at hand which leaves room for one more image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.prediction_sets import COVERAGES, rank

_DIGITS = 1_000_000  # six after the point: beyond those, scores depend on the order of sums


@dataclass(frozen=True, slots=True)
class Sets:
    """The candidates of images whose class is known."""

    coverage: float
    """That was asked for, 0..1."""
    covered: float
    """Share of the images, 0..1, whose true class is among their candidates."""
    size: float
    """Candidates of an image, the mean."""
    empty: float
    """Share of the images without a candidate, 0..1."""
    several: float
    """Share of the images with more than one, 0..1."""


def find_thresholds(scores: NDArray[Any], truth: NDArray[np.int64]) -> tuple[float, ...]:
    """For each of `COVERAGES` the threshold, rounded up to six digits; 1, which rules out nothing, for want of images.

    `scores` [N, classes] are those of images that nothing was learned from, `truth` [N] the positions of their
    classes. That the temperature was fitted on the same images is neglected: it is one number.
    """
    misfits = np.sort(1 - scores[np.arange(len(truth)), truth]).tolist()
    thresholds = []
    for coverage in COVERAGES:
        place = -(-(len(misfits) + 1) * round(1000 * coverage) // 1000)  # ceil((n + 1) * coverage), without an error
        misfit = misfits[place - 1] if place <= len(misfits) else 1.0
        thresholds.append(min(1.0, math.ceil(misfit * _DIGITS) / _DIGITS))
    return tuple(thresholds)


def measure(scores: NDArray[Any], truth: NDArray[np.int64], thresholds: Sequence[float], coverage: float) -> Sets:
    """What the candidates at a coverage are for `scores` [N, classes] and the positions of the true classes, [N]."""
    order, counts = rank(scores.astype(np.float32), thresholds, coverage)
    places = (order == truth[:, None]).argmax(axis=1)
    return Sets(
        coverage=coverage,
        covered=float(np.mean(places < counts)),
        size=float(counts.mean()),
        empty=float(np.mean(counts == 0)),
        several=float(np.mean(counts > 1)),
    )
