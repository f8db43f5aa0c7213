"""Thresholds of the candidates (see `artifact.prediction_sets`) and their evaluation.

After A. N. Angelopoulos, S. Bates, "A Gentle Introduction to Conformal Prediction and Distribution-Free Uncertainty
Quantification", 2021: the nonconformity of an image is 1 - the score of its true class, and the threshold
of a coverage is the ceil((n + 1) * coverage)-th smallest nonconformity of n calibration images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.prediction_sets import COVERAGES, rank

_LEAST = 500  # images of a kind, for thresholds of its own
_DIGITS = 1_000_000  # six after the point: beyond those, scores depend on the order of sums


@dataclass(frozen=True, slots=True)
class PredictionSets:
    """Statistics of the candidates of labelled images."""

    coverage: float
    """The requested coverage, 0..1."""
    covered: float
    """Share of the images, 0..1, whose true class is among their candidates."""
    size: float
    """Mean number of candidates of an image."""
    empty: float
    """Share of the images without a candidate, 0..1."""
    several: float
    """Share of the images with more than one, 0..1."""


def find_thresholds(scores: NDArray[Any], truth: NDArray[np.int64]) -> tuple[float, ...]:
    """The threshold of each of `COVERAGES`, rounded up to six digits; 1, which rules out no class, with too few images.

    `scores` [N, classes] belong to images that no network learned from, `truth` [N] holds the positions of their
    classes. The temperature was fitted on the same images; that is negligible for a single number.
    """
    misfits = np.sort(1 - scores[np.arange(len(truth)), truth]).tolist()
    thresholds = []
    for coverage in COVERAGES:
        place = -(-(len(misfits) + 1) * round(1000 * coverage) // 1000)  # ceil((n + 1) * coverage), without an error
        misfit = misfits[place - 1] if place <= len(misfits) else 1.0
        thresholds.append(min(1.0, math.ceil(misfit * _DIGITS) / _DIGITS))
    return tuple(thresholds)


def find_thresholds_of_both(
    scores: NDArray[Any], truth: NDArray[np.int64], own: NDArray[np.bool_]
) -> tuple[float, ...]:
    """The larger threshold of two kinds of images, so that each coverage is kept for both of them.

    `own` [N] tells the images of the data set from those of further sources. If either kind has fewer than 500, the
    thresholds are those of all images together.
    """
    kinds = (own, ~own)
    if min(np.count_nonzero(kind) for kind in kinds) < _LEAST:
        return find_thresholds(scores, truth)
    each = [find_thresholds(scores[kind], truth[kind]) for kind in kinds]
    return tuple(map(max, *each))


def evaluate_sets(
    scores: NDArray[Any], truth: NDArray[np.int64], thresholds: Sequence[float], coverage: float
) -> PredictionSets:
    """Evaluate the candidates at a coverage on `scores` [N, classes]; `truth` [N] holds positions of classes."""
    _, counts = rank(scores.astype(np.float32), thresholds, coverage)
    return PredictionSets(
        coverage=coverage,
        covered=float(is_covered(scores, truth, thresholds, coverage).mean()),
        size=float(counts.mean()),
        empty=float(np.mean(counts == 0)),
        several=float(np.mean(counts > 1)),
    )


def is_covered(
    scores: NDArray[Any], truth: NDArray[np.int64], thresholds: Sequence[float], coverage: float
) -> NDArray[np.bool_]:
    """Whether the true class of each image is among its candidates, [N]; arguments as for `evaluate_sets`."""
    order, counts = rank(scores.astype(np.float32), thresholds, coverage)
    covered: NDArray[np.bool_] = (order == truth[:, None]).argmax(axis=1) < counts
    return covered
