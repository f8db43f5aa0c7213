"""The digits of a picture: of all ways to divide its ink the one that a network finds likeliest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.reading.segment import Candidate, Chain, Segmented

_EACH = 0.16  # what a digit costs, so that strokes are not read as rows of ones
_OUTLIER = 3.2  # weight of the chance that it is none
_CUT, _APART = 0.28, 5.0  # for each stroke that is cut; for marks that stand apart
_LOW, _LOW_COST = 0.86, 2.0  # for each part of the line's height that a digit is lower than this part of it
_WIDE, _WIDE_COST = 0.4, 3.0  # for each part that it is wider
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
    segmented: Segmented, scores: NDArray[np.float32], not_a_digit: NDArray[np.float32] | None
) -> list[ReadLine]:
    """The best way through each chain. `scores` [N, classes] and `not_a_digit` [N] are those of `segmented.pixels`."""
    costs = _EACH - np.log(np.maximum(scores.max(axis=1, initial=0), _LEAST))
    if not_a_digit is not None:
        costs = costs - _OUTLIER * np.log(np.maximum(1 - not_a_digit, _LEAST))
    lines = []
    for line in segmented.lines:
        chosen = [(chain, best) for chain in line.chains for best in _best(chain, costs)]
        cells = tuple((chain.cell.row, chain.cell.col) if chain.cell else None for chain, _ in chosen)
        lines.append(ReadLine(tuple(candidate for _, candidate in chosen), cells, line.columns))
    return lines


def _best(chain: Chain, costs: NDArray[np.float32]) -> list[Candidate]:
    """The candidates of the cheapest way through all pieces of the chain, in their order.

    Pieces that belong to no candidate are skipped at the price of an unlikely digit.
    """
    cheapest = [0.0] + [math.inf] * chain.pieces
    came: list[Candidate | None] = [None] * (chain.pieces + 1)
    by_end: dict[int, list[Candidate]] = {}
    for candidate in chain.candidates:
        by_end.setdefault(candidate.last, []).append(candidate)
    for end in range(1, chain.pieces + 1):
        cheapest[end] = cheapest[end - 1] - math.log(_LEAST)
        for candidate in by_end.get(end, ()):
            cost = cheapest[candidate.first] + _cost(candidate, chain.height) + float(costs[candidate.row])
            if cost < cheapest[end]:
                cheapest[end], came[end] = cost, candidate
    way: list[Candidate] = []
    end = chain.pieces
    while end:
        last = came[end]
        if last is None:
            end -= 1
        else:
            way.append(last)
            end = last.first
    return way[::-1]


def _cost(candidate: Candidate, height: float) -> float:
    """What speaks against a candidate whatever the network says."""
    top, bottom, left, right = candidate.box
    low, wide = _LOW - (bottom - top) / height, (right - left) / height - _WIDE
    return _CUT * candidate.cut + _APART * candidate.apart + _LOW_COST * max(0.0, low) + _WIDE_COST * max(0.0, wide)


def quality(scores: Sequence[float], not_a_digit: Sequence[float]) -> float:
    """How sure a reading is, 0..1: the mean over its digits of score times chance that it is a digit."""
    if not scores:
        return 0.0
    chances = not_a_digit or [0.0] * len(scores)
    return float(np.mean([score * (1 - chance) for score, chance in zip(scores, chances, strict=True)]))
