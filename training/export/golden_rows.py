"""Which test images become the golden rows beside a model, see `artifact.golden`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluate.evaluate import margins

GOLDEN_ROWS = 64


def choose_golden_rows(truth: NDArray[np.int64], scores: NDArray[Any], count: int = GOLDEN_ROWS) -> NDArray[np.int64]:
    """Which `count` rows to take, ascending: each class in turn, hardest and easiest.

    A row is hard when the best score is little above the second. From each class come, alternately, the
    hardest row left and the one in the middle of those left. `truth` is int64 [N], `scores` is [N, classes].
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
