"""Prediction sets: the candidate classes of an image at a requested coverage.

Split conformal prediction (V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", 2005) with
the least ambiguous sets (M. Sadinle, J. Lei, L. Wasserman, "Least Ambiguous Set-Valued Classifiers With Bounded
Error Levels", Journal of the American Statistical Association 114 (525), 2019): a class is a candidate when its
score is at least 1 - threshold. Thresholds come from images that the network has not learned from, see
`training.evaluate.conformal`. Of images like those, a share of at least the coverage has its true class among its
candidates: on average over all images, not for each class, and not for images of another kind.

An image that is less typical than nearly all of those may have no candidate at all. A network that is right more
often than the coverage asks for has to have such images.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COVERAGES = tuple(thousandths / 1000 for thousandths in (*range(800, 990, 10), *range(990, 1000)))
"""The coverages with a threshold on a card, ascending: 0.80, 0.81, …, 0.99, 0.991, …, 0.999."""
DEFAULT_COVERAGE = 0.99


def rank(
    scores: NDArray[np.float32], thresholds: Sequence[float], coverage: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The classes of each image, best score first, [N, classes], and how many of the first are candidates, [N].

    `scores` is float32 [N, classes], `thresholds` has one for each of `COVERAGES`. A coverage between two of those
    counts as the greater one, as one below 0.80 counts as 0.80; beyond 0.999 no class is ruled out.
    """
    place = bisect_left(COVERAGES, coverage)
    least = np.float32(1 - thresholds[place] if place < len(COVERAGES) else 0)
    return np.argsort(-scores, axis=1, kind="stable"), np.count_nonzero(scores >= least, axis=1)
