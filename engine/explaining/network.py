"""A network of a model as arrays, and its gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from artifact.weights import read_folded

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Network:
    """One network. Its input is raw pixels, its output the logits of its output neurons."""

    weights: tuple[NDArray[np.float32], ...]
    """[inputs, neurons] of each layer."""
    biases: tuple[NDArray[np.float32], ...]
    """[neurons] of each layer."""
    activation: str
    """Of the hidden layers."""

    @property
    def is_linear_around_an_image(self) -> bool:
        """Whether its hidden layers are linear, or linear in parts."""
        return self.activation in ("relu", "identity")

    def layers(self, pixels: Values, dtype: Any = np.float64) -> list[Values]:
        """The values of `pixels` [..., rows*cols], of each hidden layer, and the logits."""
        values = [pixels.astype(dtype)]
        for depth, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            sums = np.asarray(values[-1] @ weights.astype(dtype, copy=False) + biases)
            values.append(sums if depth == len(self.weights) else self._activate(sums))
        return values

    def from_layer(self, depth: int, values: Values) -> list[Values]:
        """As `layers`, from the values [..., neurons] of the layer at `depth` on; 0 is the pixels."""
        return Network(self.weights[depth:], self.biases[depth:], self.activation).layers(values)

    def gradients(self, layers: Sequence[Values], outputs: Values) -> list[Values]:
        """The gradient of the logits' sum, weighted by `outputs` [..., neurons], by the values of each of `layers`.

        `layers` are those of `layers()` without the logits needed; the result is in their order, without the logits.
        """
        gradient = outputs
        found = []
        for depth in reversed(range(len(self.weights))):
            gradient = gradient @ self.weights[depth].T.astype(gradient.dtype, copy=False)
            found.append(gradient)
            if depth:
                gradient = gradient * self.slope(layers[depth])
        return found[::-1]

    def slope(self, values: Values) -> Values:
        """The derivative of the activation where it has these values."""
        match self.activation:
            case "relu":
                return (values > 0).astype(values.dtype)
            case "logistic":
                return np.asarray(values * (1 - values))
            case "tanh":
                return 1 - values**2
        return np.ones_like(values)

    def _activate(self, sums: Values) -> Values:
        match self.activation:
            case "relu":
                return np.maximum(sums, 0)
            case "logistic":
                return np.asarray(0.5 + 0.5 * np.tanh(0.5 * sums))
            case "tanh":
                return np.tanh(sums)
        return sums


def read_networks(model: bytes, card: Card) -> tuple[Network, ...]:
    """The networks in `model` (the bytes of model.onnx). Raises `ValueError` when the file lacks a layer."""
    members = read_folded(model, card)
    return tuple(
        Network(
            tuple(layer.weights.astype(np.float32) for layer in layers),
            tuple(layer.biases.astype(np.float32) for layer in layers),
            card.activation,
        )
        for layers in members
    )
