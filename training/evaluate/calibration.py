"""Calibration: how well scores match probabilities, and the temperature that improves the match.

After C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017: one
number, the temperature, divides the logits. The order of the classes of each network stays the same.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Bin

BINS = 15
"""As in Guo et al."""

_RANGE = (0.05, 20.0)  # search range of the temperature
_LEAST = float(np.finfo(np.float64).tiny)  # a score of 0 has no logarithm


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of scores on labelled images."""

    bins: tuple[Bin, ...]
    """The images by their best score: `BINS` bins of equal width from 0 to 1, each without its lower edge."""
    log_loss: float
    """Mean negative logarithm of the score of the true class."""

    @property
    def error(self) -> float:
        """Expected calibration error: |accuracy - mean best score|, the mean over the images of all bins."""
        images = sum(each.images for each in self.bins)
        return sum(each.images * abs(each.accuracy - each.mean_score) for each in self.bins) / images

    @property
    def rounded(self) -> tuple[Bin, ...]:
        """The bins as a card has them, to six digits: beyond those, scores depend on the order of sums."""
        return tuple(Bin(each.images, round(each.mean_score, 6), round(each.accuracy, 6)) for each in self.bins)


def evaluate_calibration(scores: NDArray[Any], truth: NDArray[np.int64]) -> Calibration:
    """Evaluate `scores` [N, classes] against `truth` [N], the positions of the true classes, N at least 1."""
    best, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    places = np.clip(np.ceil(best * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for place in range(BINS):
        here = places == place
        if here.any():
            bins.append(Bin(int(here.sum()), float(best[here].mean()), float(right[here].mean())))
        else:
            bins.append(Bin(0, 0.0, 0.0))
    return Calibration(tuple(bins), _log_loss(scores, truth))


def apply_temperature(scores: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """The mean scores [N, classes] of networks at `temperature`, from their scores [networks, N, classes] at 1.

    The logarithms of a softmax are the logits up to a constant for each image, which the next softmax cancels.
    """
    values = np.log(np.maximum(scores, _LEAST)) / temperature
    values -= values.max(axis=-1, keepdims=True)
    powers = np.exp(values)
    mean: NDArray[np.float64] = (powers / powers.sum(axis=-1, keepdims=True)).mean(axis=0)
    return mean


def fit_temperature(scores: NDArray[Any], truth: NDArray[np.int64]) -> float:
    """The temperature, to four digits after the point, at which the mean score has the least Brier score.

    `scores` [networks, N, classes] belong to images that the networks did not learn from, `truth` [N] holds the
    positions of their classes. The log loss of Guo et al. is unbounded: with few mistakes, the most confident of
    them dominate it and make all other scores too small.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda logarithm: _brier(apply_temperature(scores, math.exp(logarithm)), truth),
        bounds=(math.log(_RANGE[0]), math.log(_RANGE[1])),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return round(math.exp(found.x), 4)


def with_temperature(classifier: Any, temperature: float) -> Any:
    """A copy of the `MLPClassifier` whose logits are divided by `temperature`."""
    changed = copy.copy(classifier)
    changed.coefs_ = [*classifier.coefs_[:-1], classifier.coefs_[-1] / temperature]
    changed.intercepts_ = [*classifier.intercepts_[:-1], classifier.intercepts_[-1] / temperature]
    return changed


def _brier(scores: NDArray[Any], truth: NDArray[np.int64]) -> float:
    """Squared distance of the scores from 1 for the true class and 0 for the others (G. W. Brier, 1950)."""
    true = scores[np.arange(len(truth)), truth]
    return float(((scores**2).sum(axis=1) - 2 * true + 1).mean())


def _log_loss(scores: NDArray[Any], truth: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(scores[np.arange(len(truth)), truth], _LEAST)).mean())
