"""The lesson's steps are scikit-learn's."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from training.data.datasets import digits
from training.lesson import Activation, Learner


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_two_hundred_steps_are_those_of_scikit_learn(activation: Activation):
    """From the same weights and in the same order: weights, biases and cost within 1e-10."""
    part = digits().train
    inputs, labels = part.pixels[:1000] / 16, part.labels[:1000]
    learner = Learner.random((64, 16, 16, 10), activation, seed=3)
    classifier = MLPClassifier(
        (16, 16),
        activation="logistic" if activation == "sigmoid" else "relu",
        solver="sgd",
        alpha=0,
        batch_size=10,
        learning_rate_init=0.3,
        momentum=0,
        shuffle=False,
    )
    classifier.partial_fit(inputs[:10], labels[:10], classes=range(10))
    classifier.coefs_ = [weights.copy() for weights in learner.weights]
    classifier.intercepts_ = [biases.copy() for biases in learner.biases]
    classifier._optimizer.params = classifier.coefs_ + classifier.intercepts_
    order = np.random.default_rng(1).permutation(1000)
    costs = []
    for _ in range(2):
        costs.append(learner.epoch(inputs, labels, order, 0.3, 10))
        for start in range(0, 1000, 10):
            chosen = order[start : start + 10]
            classifier.partial_fit(inputs[chosen], labels[chosen])
    for mine, theirs in zip(learner.weights + learner.biases, classifier.coefs_ + classifier.intercepts_, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)
    np.testing.assert_allclose(learner.scores(inputs), classifier.predict_proba(inputs), atol=1e-10)
    assert costs[1] < costs[0]


def test_the_start_is_reproducible():
    """The same seed, the same weights; another one, others."""
    one, same, other = (Learner.random((4, 3, 2), "relu", seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one.weights, same.weights, strict=True))
    assert not np.array_equal(one.weights[0], other.weights[0])
