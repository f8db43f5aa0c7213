"""The digits of a picture: of all ways to divide its ink the one that a network finds likeliest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.reading.costs import COSTS, Costs, features
from imaging.reading.segment import Candidate, Chain, Segmented


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
    lines = []
    for line in segmented.lines:
        chosen: list[tuple[Chain, Candidate]] = []
        for chain in line.chains:
            weights = weigh(chain, scores, labels, not_a_digit)
            chosen += [(chain, candidate) for candidate in best_way(chain, weights, COSTS)]
        cells = tuple((chain.cell.row, chain.cell.col) if chain.cell else None for chain, _ in chosen)
        lines.append(ReadLine(tuple(candidate for _, candidate in chosen), cells, line.columns))
    return lines


def weigh(
    chain: Chain,
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    not_a_digit: NDArray[np.float32] | None,
) -> list[float]:
    """How likely each candidate of the chain is a digit, as logarithms that are not normalised."""
    rows = [candidate.row for candidate in chain.candidates]
    chances = None if not_a_digit is None else not_a_digit[rows]
    found = features(chain.candidates, chain.height, scores[rows], chances)
    weights: list[float] = COSTS.weigh(found, labels[rows]).tolist()
    return weights


def best_way(chain: Chain, weights: Sequence[float], costs: Costs) -> list[Candidate]:
    """The candidates of the likeliest way through all pieces of the chain, in their order.

    `weights` are those of its candidates. Pieces that belong to no candidate are skipped at a cost.
    """
    likeliest = [0.0] + [-math.inf] * chain.pieces
    came: list[tuple[int, Candidate | None]] = [(0, None)] * (chain.pieces + 1)
    by_end: dict[int, list[tuple[Candidate, float]]] = {}
    for candidate, weight in zip(chain.candidates, weights, strict=True):
        by_end.setdefault(candidate.last, []).append((candidate, weight))
    for end in range(1, chain.pieces + 1):
        likeliest[end], came[end] = likeliest[end - 1] + costs.skipped, (end - 1, None)
        for candidate, weight in by_end.get(end, ()):
            first = candidate.first
            if likeliest[first] + weight > likeliest[end]:
                likeliest[end], came[end] = likeliest[first] + weight, (first, candidate)
            # The first piece may be the last one of the digit before, too, if neither is that piece alone.
            before = came[first + 1][1]
            shared = first + 1 < end and chain.narrow[first] and before is not None and before.first < first
            if shared and likeliest[first + 1] + weight + costs.shared > likeliest[end]:
                likeliest[end], came[end] = likeliest[first + 1] + weight + costs.shared, (first + 1, candidate)
    way: list[Candidate] = []
    end = chain.pieces
    while end:
        end, last = came[end]
        if last is not None:
            way.append(last)
    return way[::-1]


def quality(scores: Sequence[float], not_a_digit: Sequence[float]) -> float:
    """How sure a reading is, 0..1: the mean over its digits of score times chance that it is a digit."""
    if not scores:
        return 0.0
    chances = not_a_digit or [0.0] * len(scores)
    return float(np.mean([score * (1 - chance) for score, chance in zip(scores, chances, strict=True)]))
