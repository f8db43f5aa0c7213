"""What each pixel and each neuron adds to the logit of a class.

A network whose hidden layers are ReLU is linear around an image: its logit is the sum of what the values of a layer
add, each times its gradient, and of a rest that is made of biases. The sum is exact.

For other activations the parts are integrated gradients (M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution
for Deep Networks", ICML 2017) along the straight line from the values of a blank image, all pixels 0, to those of
the image: of a hidden layer, between its values for the two images. The rest is the logit of the blank image.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engine.explaining.network import Network, Values

_NODES = 128  # of the quadrature along the line; the sums of all networks here are right to 1e-6 of the logit with it


@dataclass(frozen=True, slots=True)
class LayerContributions:
    """The parts of one layer. They and the rest sum up to the logit."""

    values: NDArray[np.float64]
    """[neurons], or [rows*cols] for the pixels."""
    rest: float
    """What does not depend on the layer."""


@dataclass(frozen=True, slots=True)
class Contributions:
    """The parts of one network's logit."""

    logit: float
    exact: bool
    """Whether the network is linear around the image."""
    layers: tuple[LayerContributions, ...]
    """Of the pixels and of each hidden layer."""


def explain(network: Network, pixels: NDArray[np.uint8], position: int) -> Contributions:
    """The parts of the logit of the class at `position` for one image [rows*cols].

    Of a network with one output neuron, the logit of its second class is the neuron's value, and that of the first
    its negative.
    """
    layers = network.layers(pixels)
    outputs = np.zeros(layers[-1].shape)
    if outputs.size == 1:
        outputs[0] = 1.0 if position else -1.0
    else:
        outputs[position] = 1.0
    parts = _linear if network.is_linear_around_an_image else _integrated
    return Contributions(
        logit=float(layers[-1] @ outputs),
        exact=network.is_linear_around_an_image,
        layers=parts(network, layers, outputs),
    )


def _linear(network: Network, layers: list[Values], outputs: Values) -> tuple[LayerContributions, ...]:
    """Values times gradients, and the biases of the later layers times theirs."""
    gradients = [*network.gradients(layers, outputs), outputs]
    found = []
    rest = 0.0
    for depth in reversed(range(len(layers) - 1)):
        behind = gradients[depth + 1]
        if depth + 1 < len(layers) - 1:
            behind = behind * network.slope(layers[depth + 1])
        rest += float(network.biases[depth].astype(np.float64) @ behind)
        found.append(LayerContributions(layers[depth] * gradients[depth], rest))
    return tuple(found[::-1])


def _integrated(network: Network, layers: list[Values], outputs: Values) -> tuple[LayerContributions, ...]:
    blank = network.layers(np.zeros_like(layers[0]))
    places, shares = _quadrature()
    found = []
    for depth in range(len(layers) - 1):
        way = layers[depth] - blank[depth]
        rows = blank[depth] + places[:, None] * way
        passed = network.from_layer(depth, rows)
        rest_of = Network(network.weights[depth:], network.biases[depth:], network.activation)
        gradients = rest_of.gradients(passed, np.tile(outputs, (_NODES, 1)))[0]
        found.append(LayerContributions(way * (shares @ gradients), float(blank[-1] @ outputs)))
    return tuple(found)


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places between 0 and 1, and their weights, by Gauss and Legendre."""
    places, weights = np.polynomial.legendre.leggauss(_NODES)
    return (places + 1) / 2, weights / 2
