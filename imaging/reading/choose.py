"""The digits of a picture: of all ways to divide its ink the one that a network finds likeliest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.reading.segment import Candidate, Chain, Segmented

# What speaks against a candidate, as a natural logarithm of a chance. Chosen on pasted lines of training digits.
_EACH = -1.08  # for each digit
_OUTLIER = 0.62  # times the chance that it is none
_CUT = 0.35  # for each stroke that is cut
_APART = 0.9  # for marks that stand apart
_LOW, _LOW_COST = 0.98, 4.6  # for each part of the line's height that it is lower than this part of it
_ASPECT = 0.11  # for its aspect, times the square of its distance from the digit's typical one in spreads
# Width by height of each digit, and the spread of its logarithm, over the training digits of all sources.
_ASPECTS = np.log([0.86, 0.42, 0.89, 0.78, 0.71, 0.88, 0.70, 0.75, 0.72, 0.66])
_SPREADS = np.array([0.23, 0.48, 0.24, 0.22, 0.28, 0.27, 0.22, 0.22, 0.24, 0.20])
_LEAST = 1e-4  # chances below this count as this


@dataclass(frozen=True, slots=True)
class ReadLine:
    """The digits of one line, from the left."""

    candidates: tuple[Candidate, ...]
    cells: tuple[tuple[int, int] | None, ...]
    """Row and column of the field that each stands in; None in a line."""
    columns: int
    """Columns of the grid; 0 for a line."""


def choose(
    segmented: Segmented,
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    not_a_digit: NDArray[np.float32] | None,
) -> list[ReadLine]:
    """The best way through each chain.

    `scores` [N, classes], `labels` [N] in 0..9 and `not_a_digit` [N] are those of `segmented.pixels`.
    """
    costs = _EACH - np.log(np.maximum(scores.max(axis=1, initial=0), _LEAST))
    if not_a_digit is not None:
        costs = costs - _OUTLIER * np.log(np.maximum(1 - not_a_digit, _LEAST))
    lines = []
    for line in segmented.lines:
        chosen = [(chain, best) for chain in line.chains for best in _best(chain, costs, labels)]
        cells = tuple((chain.cell.row, chain.cell.col) if chain.cell else None for chain, _ in chosen)
        lines.append(ReadLine(tuple(candidate for _, candidate in chosen), cells, line.columns))
    return lines


def _best(chain: Chain, costs: NDArray[np.float32], labels: NDArray[np.int64]) -> list[Candidate]:
    """The candidates of the cheapest way through all pieces of the chain, in their order.

    Pieces that belong to no candidate are skipped at the price of an unlikely digit.
    """
    cheapest = [0.0] + [math.inf] * chain.pieces
    came: list[tuple[int, Candidate | None]] = [(0, None)] * (chain.pieces + 1)
    by_end: dict[int, list[Candidate]] = {}
    for candidate in chain.candidates:
        by_end.setdefault(candidate.last, []).append(candidate)
    for end in range(1, chain.pieces + 1):
        cheapest[end], came[end] = cheapest[end - 1] - math.log(_LEAST), (end - 1, None)
        for candidate in by_end.get(end, ()):
            own = float(costs[candidate.row]) + _cost(candidate, chain.height, int(labels[candidate.row]))
            first = candidate.first
            if cheapest[first] + own < cheapest[end]:
                cheapest[end], came[end] = cheapest[first] + own, (first, candidate)
            # The first piece may be the last one of the digit before, too, if neither is that piece alone.
            before = came[first + 1][1]
            shared = first + 1 < end and chain.narrow[first] and before is not None and before.first < first
            if shared and cheapest[first + 1] + own < cheapest[end]:
                cheapest[end], came[end] = cheapest[first + 1] + own, (first + 1, candidate)
    way: list[Candidate] = []
    end = chain.pieces
    while end:
        end, last = came[end]
        if last is not None:
            way.append(last)
    return way[::-1]


def _cost(candidate: Candidate, height: float, label: int) -> float:
    """What the shape of a candidate says against its being this digit."""
    top, bottom, left, right = candidate.box
    low = max(0.0, _LOW - (bottom - top) / height)
    # A one may be a hairline.
    aspect = (math.log((right - left) / (bottom - top)) - _ASPECTS[label]) / _SPREADS[label]
    if label == 1:
        aspect = max(0.0, aspect)
    return float(_CUT * candidate.cut + _APART * candidate.apart + _LOW_COST * low + _ASPECT * aspect**2)


def quality(scores: Sequence[float], not_a_digit: Sequence[float]) -> float:
    """How sure a reading is, 0..1: the mean over its digits of score times chance that it is a digit."""
    if not scores:
        return 0.0
    chances = not_a_digit or [0.0] * len(scores)
    return float(np.mean([score * (1 - chance) for score, chance in zip(scores, chances, strict=True)]))
