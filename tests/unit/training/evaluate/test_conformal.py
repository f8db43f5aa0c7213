"""Candidates keep the coverage that was asked for."""

import numpy as np
import pytest
from scipy.special import softmax

from artifact.prediction_sets import COVERAGES, rank
from training.evaluate.conformal import evaluate_sets, find_thresholds, find_thresholds_of_both


def drawn(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores [images, 5] of a network that is right most of the time and too sure, and the true classes."""
    random = np.random.default_rng(seed)
    values = random.normal(0, 2.5, (images, 5))
    truth = (softmax(values, axis=1).cumsum(axis=1) < random.random((images, 1))).sum(axis=1)
    return softmax(1.5 * values, axis=1), truth


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99, 0.995])
def test_new_images_are_covered_as_asked_however_wrong_the_scores_are(coverage):
    """The guarantee needs no calibrated scores, only images like those that the thresholds come from."""
    thresholds = find_thresholds(*drawn(20_000, 1))
    assert evaluate_sets(*drawn(40_000, 2), thresholds, coverage).covered == pytest.approx(coverage, abs=0.005)


def test_few_images_are_covered_on_average_too():
    """With 60 of them room for one more matters: the plain quantile would fall short."""
    covered = []
    for seed in range(400):
        thresholds = find_thresholds(*drawn(60, 2 * seed))
        covered.append(evaluate_sets(*drawn(300, 2 * seed + 1), thresholds, 0.95).covered)
    assert np.mean(covered) == pytest.approx(58 / 61, abs=0.004)


def test_thresholds_by_hand():
    """The quantile of what the true classes lack, of nine images and one more; where nine are too few, 1."""
    lacking = np.array([0.3, 0.1, 0.9, 0.2, 0.5, 0.4, 0.8, 0.6, 0.7123451])
    scores = np.stack([1 - lacking, lacking], axis=1)
    thresholds = dict(zip(COVERAGES, find_thresholds(scores, np.zeros(9, int)), strict=True))
    assert thresholds[0.8] == pytest.approx(0.8, abs=1e-6)
    assert thresholds[0.9] == pytest.approx(0.9, abs=1e-6)
    assert thresholds[0.91] == thresholds[0.999] == 1.0
    seven = find_thresholds(scores[[0, 1, 3, 4, 5, 7, 8]], np.zeros(7, int))[0]
    assert seven == 0.712346, "rounded up, so that nobody falls out by rounding"


def test_the_coverages_of_a_card():
    """Whole percents, and tenths of a percent from 99 on; those that reports speak of are among them."""
    assert (COVERAGES[0], COVERAGES[-1], len(COVERAGES)) == (0.8, 0.999, 29)
    assert {0.9, 0.95, 0.99, 0.995} < set(COVERAGES)


def test_coverages_between_and_beyond():
    """The next greater one counts; below all of them the first does, and above all of them nothing is ruled out."""
    scores = np.array([[0.55, 0.3, 0.1, 0.05]], np.float32)
    thresholds = [0.0] * 10 + [0.5] * 10 + [0.75] * 9

    def count(coverage: float) -> int:
        return int(rank(scores, thresholds, coverage)[1][0])

    assert [count(0.01), count(0.89), count(0.891), count(0.9), count(0.98), count(0.99)] == [0, 0, 1, 1, 1, 1]
    assert [count(0.9901), count(0.999), count(0.9991), count(1 - 1e-12)] == [2, 2, 4, 4]


def test_candidates_come_best_first_and_there_may_be_none():
    """Equal scores keep the order of the classes; sets are empty where no score is good enough."""
    scores = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.34, 0.33, 0.33]], np.float32)
    order, counts = rank(scores, [0.65] * 29, 0.9)
    assert [row[:count].tolist() for row, count in zip(order, counts, strict=True)] == [[1], [0, 2], []]
    assert rank(scores, [0.5] * 29, 0.9)[1].tolist() == [1, 0, 0], "a score that is just enough is enough"
    found = evaluate_sets(scores, np.array([1, 1, 0]), [0.65] * 29, 0.9)
    assert (found.covered, found.size, found.empty, found.several) == pytest.approx((1 / 3, 1.0, 1 / 3, 1 / 3))


def test_coverage_is_kept_for_two_kinds_of_images():
    """Each by itself, where their scores differ; few images of a kind count with the others."""
    easy, hard = drawn(4000, 5), drawn(4000, 6)
    blurred = (hard[0] + 0.5) / (1 + 0.5 * 5), hard[1]
    scores, truth = (np.concatenate(each) for each in zip(easy, blurred, strict=True))
    own = np.arange(8000) < 4000
    thresholds = find_thresholds_of_both(scores, truth, own)
    covered = [evaluate_sets(*each, thresholds, 0.9).covered for each in (easy, blurred)]
    assert min(covered) == pytest.approx(0.9, abs=0.001)
    together = find_thresholds(scores, truth)
    assert min(evaluate_sets(*each, together, 0.9).covered for each in (easy, blurred)) < 0.88
    assert find_thresholds_of_both(scores, truth, np.arange(8000) < 499) == together
