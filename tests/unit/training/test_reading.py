"""The costs of Read are fitted so that the right ways through lines become the likeliest."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from imaging.reading.choose import best_way
from imaging.reading.costs import COSTS, DIGIT_FEATURES, SHAPE_FEATURES, Costs
from imaging.reading.segment import Candidate, Chain
from training.data.dataset import Part
from training.reading.field import Example, expected_steps, fit_costs, right_way, steps
from training.reading.lines import paste_line

SPANS = [(0, 1), (1, 2), (0, 2), (2, 4), (1, 4), (2, 3), (3, 4)]
SIZE = len(SHAPE_FEATURES) + len(DIGIT_FEATURES)


def chain(narrow: tuple[bool, ...] = (False, True, True, False)) -> Chain:
    """Four pieces; candidate number n has image n."""
    candidates = [Candidate(first, last, (0, 9, first, last), 0, 0, row) for row, (first, last) in enumerate(SPANS)]
    return Chain(4, tuple(candidates), narrow, 9.0, None)


def example(labels: tuple[int, ...], seed: int) -> Example:
    """A chain with features drawn at random, whose candidates are read as their numbers."""
    drawn = np.random.default_rng(seed).normal(size=(len(SPANS), SIZE))
    return Example(chain(), drawn, np.arange(len(SPANS)), labels)


def all_ways(each: Chain) -> list[list[int]]:
    """The steps of every way from the first state to the end, by their places in `steps`."""
    walk = steps(each)
    ways, unfinished = [], [(1, [])]
    while unfinished:
        state, way = unfinished.pop()
        if state // 2 == each.pieces:
            ways.append(way)
            continue
        unfinished += [(step.end, [*way, place]) for place, step in enumerate(walk) if step.start == state]
    return ways


def test_all_ways_count_by_their_likelihood():
    """The sums over states equal those over every single way."""
    each = chain()
    random = np.random.default_rng(1)
    weights, extra = random.normal(size=len(SPANS)), np.array([-1.0, 0.5])
    walk, ways = steps(each), all_ways(each)

    def gain(place: int) -> float:
        step = walk[place]
        return extra[0] if step.candidate is None else weights[step.candidate] + extra[1] * step.shared

    likelihoods = [math.exp(sum(map(gain, way))) for way in ways]
    total, chances = expected_steps(walk, each.pieces, weights, extra)
    assert math.exp(total) == pytest.approx(sum(likelihoods))
    for place, chance in enumerate(chances):
        through = sum(likelihood for way, likelihood in zip(ways, likelihoods, strict=True) if place in way)
        assert chance == pytest.approx(through / sum(likelihoods), abs=1e-12)
    assert any(walk[place].shared for place in itertools.chain.from_iterable(ways))


def test_the_right_way_gives_the_digits():
    """The likeliest of those that do, a shared piece included; none where no way does."""
    each = example((2, 3), 1)
    way = right_way(each, steps(each.chain), np.zeros(len(SPANS)), np.array([-1.0, 0.0]))
    assert way is not None
    assert [step.candidate for step in way] == [2, 3]
    each = example((2, 4), 1)
    way = right_way(each, steps(each.chain), np.zeros(len(SPANS)), np.array([-1.0, 0.0]))
    assert way is not None
    assert [(step.candidate, step.shared) for step in way] == [(2, False), (4, True)]
    assert right_way(example((3, 2), 1), steps(each.chain), np.zeros(len(SPANS)), np.zeros(2)) is None


def test_fitting_makes_the_right_ways_the_likeliest():
    """The digits differ in one feature from what is none, and the weights that were there say the opposite."""
    wrong = replace(COSTS, shape=(-2.0, *COSTS.shape[1:]))
    examples = []
    for seed in range(20):
        each = example((2, 3) if seed % 2 else (0, 4), seed)
        each.features[:, 0] = [1.0 if label in each.labels else -1.0 for label in each.read]
        examples.append(each)

    def right(costs: Costs) -> int:
        ways = [best_way(each.chain, costs.weigh(each.features, each.read).tolist(), costs) for each in examples]
        return sum(tuple(part.row for part in way) == each.labels for way, each in zip(ways, examples, strict=True))

    assert right(wrong) < 10
    assert right(fit_costs(examples, wrong)) == 20


def test_costs_are_kept_in_a_file(tmp_path):
    """What was saved is what is loaded."""
    COSTS.save(tmp_path / "costs.json")
    assert Costs.load(tmp_path / "costs.json") == COSTS


def test_lines_are_pasted_from_all_sources():
    """Digits of two sources, each a bar of its own shade, stand on paper."""
    images = np.zeros((2, 8, 8), np.uint8)
    images[:, 1:7, 3:5] = 255
    part = Part(images.reshape(2, 64), np.array([1, 1]))
    other = Part(images.reshape(2, 64), np.array([7, 7]))
    random = np.random.default_rng(1)
    lines = [paste_line({"one": part, "other": other}, 8, random) for _ in range(30)]
    assert {label for line in lines for label in line.labels} == {1, 7}
    assert {len(line.labels) for line in lines} == set(range(1, 9))
    for line in lines:
        assert line.grey.dtype == np.float32
        assert 0 <= line.grey.min() < 0.35
        assert np.median(line.grey) > 0.5
