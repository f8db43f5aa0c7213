"""Accuracy and confusion matrix of predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The counts of one test set."""

    confusion: tuple[tuple[int, ...], ...]
    """Rows by true class (outer) and predicted class (inner)."""

    @property
    def rows(self) -> int:
        """Rows in the test set."""
        return sum(map(sum, self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of correct predictions, 0..1."""
        return sum(row[position] for position, row in enumerate(self.confusion)) / self.rows


def evaluate(truth: NDArray[np.int64], predicted: NDArray[np.int64], *, classes: int) -> Evaluation:
    """Compare `predicted` [N] with `truth` [N], both positions of classes, 0..classes-1, N at least 1."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (truth, predicted), 1)
    return Evaluation(tuple(tuple(row) for row in counts.tolist()))


def margins(scores: NDArray[Any]) -> NDArray[Any]:
    """Difference between the best and the second best score, [N], of `scores` [N, classes]."""
    ordered = np.sort(scores, axis=1)
    margin: NDArray[Any] = ordered[:, -1] - ordered[:, -2]
    return margin
