"""Selects the test images for the golden rows of a model, see `artifact.golden`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluate.evaluate import margins

GOLDEN_ROWS = 64


def choose_golden_rows(truth: NDArray[np.int64], scores: NDArray[Any], count: int = GOLDEN_ROWS) -> NDArray[np.int64]:
    """Indices of `count` rows, ascending, from each class in turn.

    A row is hard if its best score is close to the second best. Each class gives alternately the hardest of its
    remaining rows and the median one. `truth` is int64 [N], `scores` is [N, classes].
    """
    margin = margins(scores)
    queues = [rows[np.argsort(margin[rows], kind="stable")].tolist() for rows in _by_class(truth)]
    taken: list[int] = []
    turn = 0
    while len(taken) < min(count, len(truth)):
        for queue in queues:
            if queue and len(taken) < count:
                taken.append(queue.pop(0 if turn % 2 == 0 else len(queue) // 2))
        turn += 1
    return np.sort(np.array(taken, dtype=np.int64))


def _by_class(truth: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(truth == value) for value in np.unique(truth)]
