"""The classifiers taken back out of `model.onnx`: what was assembled from them can be assembled again."""

from typing import Any

import numpy as np

from artifact.card import Card
from artifact.network import read_layer


def read_members(model: bytes, card: Card) -> list[Any]:
    """A fitted `MLPClassifier` for each member of `model` (the bytes of model.onnx).

    Their classes are the card's labels. They hold what the file holds, a temperature included: `build_graph`
    makes the same bytes of them. How to fit them on, the file does not know. Raises `ValueError` when the file
    lacks a layer.
    """
    return [_member(model, card, member) for member in range(card.members)]


def _member(model: bytes, card: Card, member: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    classifier = MLPClassifier(card.layer_widths[1:-1], activation=card.activation, random_state=0)
    # One step on a blank image of each class makes every attribute; then the file's numbers go over it.
    classifier.partial_fit(np.zeros((len(card.labels), card.features)), card.labels, classes=card.labels)
    layers = [read_layer(model, card, member, layer, np.float64) for layer in range(1, len(card.layer_widths))]
    classifier.coefs_ = [layer.weights for layer in layers]
    classifier.intercepts_ = [layer.biases for layer in layers]
    return classifier
