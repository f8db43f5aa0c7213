"""Evaluation of an ensemble on the images that none of its networks learned from."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluate.calibration import Calibration, apply_temperature, evaluate_calibration, fit_temperature
from training.evaluate.conformal import find_thresholds_of_both, is_covered

REPORTED_COVERAGES = (0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class EnsembleEvaluation:
    """Results of an ensemble on its held-out images."""

    images: int
    temperature: float
    """Fitted on these images only."""
    alone: tuple[float, ...]
    """Accuracy, 0..1, of each network by itself."""
    together: tuple[float, ...]
    """Accuracy of the averaged scores of the first network, of the first two, …, of all."""
    before: Calibration
    """Of all networks at temperature 1."""
    after: Calibration
    """Of all networks at `temperature`."""
    thresholds: tuple[float, ...]
    """See `training.evaluate.conformal`."""

    @property
    def figures(self) -> dict[str, Any]:
        """The results for the recipe on the card."""
        return {
            "validation_accuracy": round(self.together[-1], 6),
            "validation_accuracy_of_the_first": [round(share, 6) for share in self.together],
            "validation_accuracy_alone": [round(share, 6) for share in self.alone],
            "validation_calibration_error": [round(self.before.error, 6), round(self.after.error, 6)],
            "validation_log_loss": [round(self.before.log_loss, 6), round(self.after.log_loss, 6)],
        }


def evaluate_ensemble(scores: NDArray[Any], truth: NDArray[np.int64], own: int) -> EnsembleEvaluation:
    """Fit the temperature, find the thresholds of the candidates at that temperature, and evaluate the ensemble.

    `scores` [networks, N, classes] are those of each network, `truth` [N] holds the positions of the true classes.
    The first `own` images are of the data set, the others of further sources.
    """
    temperature = fit_temperature(scores, truth)
    sizes = range(1, len(scores) + 1)
    mean = apply_temperature(scores, temperature)
    return EnsembleEvaluation(
        images=len(truth),
        temperature=temperature,
        alone=tuple(_accuracy(each, truth) for each in scores),
        together=tuple(_accuracy(apply_temperature(scores[:size], temperature), truth) for size in sizes),
        before=evaluate_calibration(apply_temperature(scores, 1.0), truth),
        after=evaluate_calibration(mean, truth),
        thresholds=find_thresholds_of_both(mean, truth, np.arange(len(truth)) < own),
    )


def evaluate_sources(
    scores: NDArray[Any], truth: NDArray[np.int64], sizes: Mapping[str, int], temperature: float
) -> dict[str, dict[str, float]]:
    """Accuracy, calibration error and coverage on the held-out images of each source, 0..1, to six digits.

    `scores` [networks, N, classes] at temperature 1 and `truth` [N] are of all held-out images, those of the data set
    first; `sizes` has their numbers by source. Coverage is by thresholds from other images: those of every second image
    from the images between. A source without images is left out.
    """
    mean = apply_temperature(scores, temperature)
    places = np.arange(len(truth))
    halves, own = places % 2, places < next(iter(sizes.values()))
    covered = {coverage: np.zeros(len(truth), bool) for coverage in REPORTED_COVERAGES}
    for half in (0, 1):
        here, others = halves == half, halves != half
        thresholds = find_thresholds_of_both(mean[others], truth[others], own[others])
        for coverage, found in covered.items():
            found[here] = is_covered(mean[here], truth[here], thresholds, coverage)
    bounds = accumulate(sizes.values(), initial=0)
    figures = {}
    for source, (start, stop) in zip(sizes, pairwise(bounds), strict=True):
        if start == stop:
            continue
        part = slice(start, stop)
        figures[source] = {
            "images": stop - start,
            "accuracy": _accuracy(mean[part], truth[part]),
            "calibration_error": evaluate_calibration(mean[part], truth[part]).error,
            **{f"covered_at_{coverage}": float(found[part].mean()) for coverage, found in covered.items()},
        }
    return {source: {name: round(value, 6) for name, value in found.items()} for source, found in figures.items()}


def _accuracy(scores: NDArray[Any], truth: NDArray[np.int64]) -> float:
    return float(np.mean(scores.argmax(axis=1) == truth))
