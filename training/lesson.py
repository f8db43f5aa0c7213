"""Learning as a lesson tells it: plain stochastic gradient descent in double precision, with NumPy alone.

The steps are those of scikit-learn's `MLPClassifier` with `solver="sgd"`, no momentum, no weight decay and a constant
learning rate, from the same weights and in the same order of images.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Activation = Literal["sigmoid", "relu"]


@dataclass(slots=True)
class Learner:
    """A network that learns; its weights change in place."""

    weights: list[Floats]
    """[inputs, neurons] of each layer."""
    biases: list[Floats]
    """[neurons] of each layer."""
    activation: Activation
    """Of the hidden layers; the output is a softmax."""

    @classmethod
    def random(cls, widths: tuple[int, ...], activation: Activation, seed: int) -> Self:
        """Uniform weights and biases within the bounds of X. Glorot and Y. Bengio (2010)."""
        random = np.random.default_rng(seed)
        weights, biases = [], []
        for inputs, neurons in pairwise(widths):
            bound = ((2 if activation == "sigmoid" else 6) / (inputs + neurons)) ** 0.5
            weights.append(random.uniform(-bound, bound, (inputs, neurons)))
            biases.append(random.uniform(-bound, bound, neurons))
        return cls(weights, biases, activation)

    def scores(self, inputs: Floats) -> Floats:
        """[N, classes] for `inputs` [N, pixels], pixels as 0..1."""
        return self._layers(inputs)[-1]

    def step(self, inputs: Floats, labels: NDArray[np.int64], learning_rate: float) -> float:
        """One step down the mean gradient of a batch; its mean cross-entropy before the step.

        `inputs` [N, pixels], `labels` [N] are positions of classes.
        """
        values = self._layers(inputs)
        rows = np.arange(len(labels))
        cost = -np.log(np.maximum(values[-1][rows, labels], np.finfo(np.float64).tiny)).mean()
        error = values[-1].copy()
        error[rows, labels] -= 1
        error /= len(labels)
        for depth in reversed(range(len(self.weights))):
            down = values[depth].T @ error, error.sum(axis=0)
            if depth:
                error = (error @ self.weights[depth].T) * self._slope(values[depth])
            self.weights[depth] -= learning_rate * down[0]
            self.biases[depth] -= learning_rate * down[1]
        return float(cost)

    def epoch(
        self, inputs: Floats, labels: NDArray[np.int64], order: NDArray[np.int64], learning_rate: float, batch: int
    ) -> float:
        """A step for each `batch` of images in this order; the mean cross-entropy over all images."""
        total = 0.0
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            total += len(chosen) * self.step(inputs[chosen], labels[chosen], learning_rate)
        return total / len(order)

    def _layers(self, inputs: Floats) -> list[Floats]:
        values = [inputs]
        for depth, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            sums = values[-1] @ weights + biases
            values.append(_softmax(sums) if depth == len(self.weights) else self._activate(sums))
        return values

    def _activate(self, sums: Floats) -> Floats:
        return np.asarray(np.maximum(sums, 0) if self.activation == "relu" else 0.5 + 0.5 * np.tanh(0.5 * sums))

    def _slope(self, values: Floats) -> Floats:
        return (values > 0).astype(np.float64) if self.activation == "relu" else values * (1 - values)


def _softmax(sums: Floats) -> Floats:
    powers: Floats = np.exp(sums - sums.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
