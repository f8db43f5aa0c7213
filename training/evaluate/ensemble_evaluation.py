"""What the images that no network of a committee has learned from say of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluate.calibration import Calibration, calibration, fit_temperature, tempered
from training.evaluate.conformal import find_thresholds


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A committee's figures on its held-out images."""

    images: int
    temperature: float
    """Fitted on these very images, and on nothing else."""
    alone: tuple[float, ...]
    """Share right, 0..1, of each network by itself."""
    together: tuple[float, ...]
    """Share right of the first network, of the first two, …, of all, their scores averaged."""
    before: Calibration
    """Of all, at temperature 1."""
    after: Calibration
    """Of all, at `temperature`."""
    thresholds: tuple[float, ...]
    """See `training.evaluate.conformal`."""

    @property
    def figures(self) -> dict[str, Any]:
        """What the card's recipe says of them."""
        return {
            "validation_accuracy": round(self.together[-1], 6),
            "validation_accuracy_of_the_first": [round(share, 6) for share in self.together],
            "validation_accuracy_alone": [round(share, 6) for share in self.alone],
            "validation_calibration_error": [round(self.before.error, 6), round(self.after.error, 6)],
            "validation_log_loss": [round(self.before.log_loss, 6), round(self.after.log_loss, 6)],
        }


def hold_against(scores: NDArray[Any], truth: NDArray[np.int64]) -> HeldOut:
    """Find the temperature, and at it the thresholds of the candidates, and judge the committee.

    `scores` [networks, N, classes] are those of each network, `truth` [N] the positions of the true classes.
    """
    temperature = fit_temperature(scores, truth)
    sizes = range(1, len(scores) + 1)
    mean = tempered(scores, temperature)
    return HeldOut(
        images=len(truth),
        temperature=temperature,
        alone=tuple(_accuracy(each, truth) for each in scores),
        together=tuple(_accuracy(tempered(scores[:size], temperature), truth) for size in sizes),
        before=calibration(tempered(scores, 1.0), truth),
        after=calibration(mean, truth),
        thresholds=find_thresholds(mean, truth),
    )


def _accuracy(scores: NDArray[Any], truth: NDArray[np.int64]) -> float:
    return float(np.mean(scores.argmax(axis=1) == truth))
