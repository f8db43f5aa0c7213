"""A conditional random field over the ways through chains: the weights that make the right ways likeliest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from imaging.reading.costs import DIGIT_FEATURES, SHAPE_FEATURES, Costs
from imaging.reading.segment import Chain

Floats = NDArray[np.float64]

_DIGITS = 10
_SIZE = len(SHAPE_FEATURES) + _DIGITS * len(DIGIT_FEATURES) + 2
_ROUNDS, _STEPS = 12, 15
_PENALTY = 1e-4  # of the squared weights


@dataclass(frozen=True, slots=True)
class Example:
    """A chain and what it shows."""

    chain: Chain
    features: Floats
    """float64 [candidates, features], see `imaging.reading.costs.features`."""
    read: NDArray[np.int64]
    """The label of each candidate, int64 [candidates]."""
    labels: tuple[int, ...]
    """The digits that the chain shows, from the left."""

    def expanded(self) -> Floats:
        """What each candidate adds to each weight, float64 [candidates, weights]; those of other digits get 0."""
        shape = len(SHAPE_FEATURES)
        digits = np.zeros((len(self.read), _DIGITS, len(DIGIT_FEATURES)))
        digits[np.arange(len(self.read)), self.read] = self.features[:, shape:]
        both = np.concatenate([self.features[:, :shape], digits.reshape(len(self.read), -1)], axis=1)
        return np.concatenate([both, np.zeros((len(self.read), 2))], axis=1)


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of a way: over a candidate, or, without one, over a piece that is skipped.

    A state is twice the number of pieces behind it, plus 1 if the last step was over a single piece. Only then no
    piece may be shared with the next digit.
    """

    start: int
    end: int
    candidate: int | None
    shared: bool


def steps(chain: Chain) -> list[_Step]:
    """All steps through the chain, in the order of their ends."""
    found = []
    for piece in range(chain.pieces):
        found += [_Step(2 * piece + kind, 2 * piece + 3, None, False) for kind in (0, 1)]
    for place, each in enumerate(chain.candidates):
        end = 2 * each.last + (each.last - each.first == 1)
        found += [_Step(2 * each.first + kind, end, place, False) for kind in (0, 1)]
        if each.first + 1 < each.last and chain.narrow[each.first]:
            found.append(_Step(2 * each.first + 2, end, place, True))
    return sorted(found, key=lambda step: (step.end, step.start))


def fit_costs(examples: Sequence[Example], start: Costs) -> Costs:
    """The weights under which the right ways are likeliest.

    The right way of a chain is the likeliest of those that give its digits under the weights so far, from `start` on;
    chains without one are left out. For given right ways the penalised log likelihood has one maximum.
    """
    expanded = [each.expanded() for each in examples]
    # Weights of features of one spread: the search for the maximum is much shorter.
    spread = np.concatenate([np.sqrt(np.mean(np.concatenate(expanded) ** 2, axis=0))[:-2], np.ones(2)])
    spread[spread == 0] = 1
    expanded = [each / spread for each in expanded]
    weights = _packed(start) * spread
    walks = [steps(each.chain) for each in examples]
    for _ in range(_ROUNDS):
        rows = list(zip(examples, expanded, walks, strict=True))
        gold = [right_way(each, walk, more @ weights, weights[-2:]) for each, more, walk in rows]
        kept = [(more, walk, way) for (_, more, walk), way in zip(rows, gold, strict=True) if way is not None]
        found = minimize(_loss, weights, args=(kept,), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
        weights = found.x
    return _unpacked(weights / spread)


def right_way(example: Example, walk: Sequence[_Step], weights: Floats, extra: Floats) -> list[_Step] | None:
    """The likeliest way that gives the digits of the example; None if there is none.

    `weights` [candidates] are those of the candidates, `extra` those of a skipped and of a shared piece.
    """
    best: dict[tuple[int, int], float] = {(1, 0): 0.0}
    came: dict[tuple[int, int], tuple[tuple[int, int], _Step]] = {}
    for step in walk:
        gain = _gain(step, weights, extra)
        for read in range(len(example.labels) + 1):
            before = best.get((step.start, read))
            if before is None:
                continue
            if step.candidate is None:
                after = step.end, read
            elif read < len(example.labels) and example.read[step.candidate] == example.labels[read]:
                after = step.end, read + 1
            else:
                continue
            if before + gain > best.get(after, -math.inf):
                best[after] = before + gain
                came[after] = (step.start, read), step
    ends = [(2 * example.chain.pieces + kind, len(example.labels)) for kind in (0, 1)]
    state = max(ends, key=lambda end: best.get(end, -math.inf))
    if state not in best:
        return None
    way: list[_Step] = []
    while state in came:
        state, step = came[state]
        way.append(step)
    return way[::-1]


def expected_steps(walk: Sequence[_Step], pieces: int, weights: Floats, extra: Floats) -> tuple[float, Floats]:
    """The logarithm of the sum of the likelihood of all ways, and how likely each step is taken, float64 [steps]."""
    last = 2 * pieces + 1
    forward, backward = [-math.inf] * (last + 1), [-math.inf] * (last + 1)
    forward[1] = 0.0
    gains = [_gain(step, weights, extra) for step in walk]
    for step, gain in zip(walk, gains, strict=True):
        forward[step.end] = _add(forward[step.end], forward[step.start] + gain)
    backward[last] = backward[last - 1] = 0.0
    for step, gain in zip(reversed(walk), reversed(gains), strict=True):
        backward[step.start] = _add(backward[step.start], backward[step.end] + gain)
    total = _add(forward[last], forward[last - 1])
    chances = [
        math.exp(forward[step.start] + gain + backward[step.end] - total)
        for step, gain in zip(walk, gains, strict=True)
    ]
    return total, np.array(chances)


def _loss(weights: Floats, kept: Sequence[tuple[Floats, list[_Step], list[_Step]]]) -> tuple[float, Floats]:
    """The mean negative log likelihood of the right ways, penalised, and its gradient."""
    loss, gradient = 0.0, np.zeros(_SIZE)
    for more, walk, way in kept:
        own = more @ weights
        pieces = (max(step.end for step in walk)) // 2
        total, chances = expected_steps(walk, pieces, own, weights[-2:])
        loss += total - sum(_gain(step, own, weights[-2:]) for step in way)
        for path, sign in ((zip(walk, chances, strict=True), 1.0), (((step, 1.0) for step in way), -1.0)):
            amounts = np.zeros(len(more))
            for step, chance in path:
                if step.candidate is None:
                    gradient[-2] += sign * chance
                else:
                    amounts[step.candidate] += sign * chance
                    gradient[-1] += sign * chance * step.shared
            gradient += amounts @ more
    count = len(kept)
    return loss / count + _PENALTY * float(weights @ weights), gradient / count + 2 * _PENALTY * weights


def _gain(step: _Step, weights: Floats, extra: Floats) -> float:
    if step.candidate is None:
        return float(extra[0])
    return float(weights[step.candidate] + (extra[1] if step.shared else 0.0))


def _add(one: float, other: float) -> float:
    """The logarithm of the sum of two numbers given by theirs."""
    if one < other:
        one, other = other, one
    return one if other == -math.inf else one + math.log1p(math.exp(other - one))


def _packed(costs: Costs) -> Floats:
    return np.array([*costs.shape, *np.ravel(costs.digits), costs.skipped, costs.shared])


def _unpacked(weights: Floats) -> Costs:
    shape, digits = weights[: len(SHAPE_FEATURES)], weights[len(SHAPE_FEATURES) : -2].reshape(_DIGITS, -1)
    return Costs(tuple(shape.tolist()), tuple(map(tuple, digits.tolist())), float(weights[-2]), float(weights[-1]))
