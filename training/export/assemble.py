"""Builds an `MLPClassifier` from weights, with all attributes of a fitted one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def assemble(
    weights: Sequence[NDArray[Any]],
    biases: Sequence[NDArray[Any]],
    classes: NDArray[Any],
    *,
    activation: str,
    output_activation: str,
) -> Any:
    """The classifier with weights [inputs, neurons] and biases [neurons] of each layer, and `classes` in score order.

    `output_activation` is `softmax` with a neuron for each class, or `logistic` with one neuron for two classes.
    """
    from sklearn.neural_network import MLPClassifier

    widths = tuple(len(each) for each in biases)
    classifier = MLPClassifier(widths[:-1], activation=activation, random_state=0)
    positions = np.arange(len(classes))
    # One step on a blank image of each class creates every attribute. The given ones then overwrite them.
    classifier.partial_fit(np.zeros((len(classes), len(weights[0]))), positions, classes=positions)
    classifier.coefs_, classifier.intercepts_ = list(weights), list(biases)
    classifier.n_outputs_, classifier.out_activation_ = widths[-1], output_activation
    classifier.classes_ = classifier._label_binarizer.classes_ = classes
    return classifier
