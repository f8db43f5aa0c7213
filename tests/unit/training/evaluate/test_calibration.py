"""Scores become chances."""

import numpy as np
import pytest
from scipy.special import softmax

from artifact.card import Bin
from training.evaluate.calibration import apply_temperature, evaluate_calibration, fit_temperature, with_temperature
from training.evaluate.ensemble_evaluation import evaluate_ensemble


def drawn(images: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Values before a softmax [images, 4] and classes that were drawn with its very chances."""
    random = np.random.default_rng(3)
    values = random.normal(0, 2, (images, 4))
    return values, (softmax(values, axis=1).cumsum(axis=1) < random.random((images, 1))).sum(axis=1)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_scores_too_sure_or_not_sure_enough(sharpness):
    """Values multiplied by a number are divided by that number again, and then scores are chances."""
    values, truth = drawn()
    scores = softmax(sharpness * values, axis=1)[None]
    temperature = fit_temperature(scores, truth)
    assert temperature == pytest.approx(sharpness, rel=0.03)
    assert evaluate_calibration(apply_temperature(scores, temperature), truth).error < 0.01
    if sharpness != 1.0:
        assert evaluate_calibration(apply_temperature(scores, 1.0), truth).error > 0.05


def test_the_temperature_of_a_committee_is_that_of_its_mean():
    """Networks that err independently are not sure enough together, though each of them is too sure."""
    values, truth = drawn()
    random = np.random.default_rng(4)
    scores = softmax(values + random.normal(0, 1.5, (6, *values.shape)), axis=2)
    together = fit_temperature(scores, truth)
    assert together < min(fit_temperature(each[None], truth) for each in scores)
    found = evaluate_ensemble(scores, truth, own=len(truth))
    assert found.temperature == together
    assert found.after.error < found.before.error
    squares = [np.sum((apply_temperature(scores, together * by) - np.eye(4)[truth]) ** 2) for by in (0.97, 1.0, 1.03)]
    assert min(squares) == squares[1]
    assert found.together[0] == found.alone[0]
    assert found.together[-1] > max(found.alone)


def test_error_and_bins_by_hand():
    """Four images in three bins; a score on an edge belongs to the bin below."""
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    found = evaluate_calibration(scores, np.array([0, 1, 0, 1]))
    assert len(found.bins) == 15
    filled = {place: each for place, each in enumerate(found.bins) if each.images}
    assert filled == {8: Bin(1, 0.6, 1.0), 10: Bin(1, 0.7, 1.0), 13: Bin(2, 0.9, 0.5)}
    assert found.error == pytest.approx((0.4 + 0.3 + 2 * 0.4) / 4)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.7]).mean())


def test_a_score_of_0_and_one_of_1_are_scores():
    """What underflowed does not break the sums, nor does it make NumPy complain."""
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    with np.errstate(all="raise", under="ignore"):
        found = evaluate_calibration(scores, np.array([0, 1]))
        assert (found.bins[-1], found.error) == (Bin(2, 1.0, 1.0), 0.0)
        np.testing.assert_allclose(apply_temperature(scores[None], 2.0), scores, atol=1e-9)
        assert 300 < evaluate_calibration(scores, np.array([1, 0])).log_loss < np.inf


def test_a_classifier_at_a_temperature(make_stranger):
    """Its scores are the softmax of its values divided by it; the classifier that was given stays as it was."""
    stranger = make_stranger(hidden=(6, 5))
    plain = stranger.classifier.predict_proba(stranger.inputs())
    cooler = with_temperature(stranger.classifier, 0.5).predict_proba(stranger.inputs())
    np.testing.assert_allclose(cooler, plain**2 / (plain**2).sum(axis=1, keepdims=True), atol=1e-9)
    np.testing.assert_array_equal(stranger.classifier.predict_proba(stranger.inputs()), plain)
    np.testing.assert_allclose(apply_temperature(plain[None], 0.5), cooler, atol=1e-9)
