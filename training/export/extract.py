"""Reads the networks and the detector back from `model.onnx`."""

from typing import Any

import numpy as np

from artifact.card import Card
from artifact.names import (
    DETECTOR_BIAS,
    DETECTOR_HIDDEN_BIASES,
    DETECTOR_HIDDEN_WEIGHTS,
    DETECTOR_INK,
    DETECTOR_WEIGHTS,
)
from artifact.weights import read_layer
from training.evaluate.detector import Detector
from training.export.assemble import assemble


def read_members(model: bytes, card: Card) -> list[Any]:
    """A fitted `MLPClassifier` for each member of `model` (the bytes of model.onnx).

    Their classes are the card's labels. Their weights include the temperature, and `build_graph` gives the same
    bytes for them. They have no optimizer state for further fitting. Raises `ValueError` if the file lacks a layer.
    """
    return [_member(model, card, member) for member in range(card.members)]


def read_detector(model: bytes, card: Card) -> Detector | None:
    """The detector in `model` (the bytes of model.onnx), or None. `build_graph` gives the same bytes for it."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(model).graph
    found = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.name in (DETECTOR_WEIGHTS, DETECTOR_BIAS, DETECTOR_HIDDEN_WEIGHTS, DETECTOR_HIDDEN_BIASES)
    }
    if not found:
        return None
    own, reads_hidden = None, False
    if DETECTOR_HIDDEN_WEIGHTS in found:
        weights = found[DETECTOR_HIDDEN_WEIGHTS].astype(np.float64)
        biases = found[DETECTOR_HIDDEN_BIASES].astype(np.float64)
        reads_hidden = not any(DETECTOR_INK in node.output for node in graph.node)
        if not reads_hidden:
            biases = biases + card.pixel_offset * weights.sum(axis=0)
            weights = weights / card.pixel_scale
        own = weights, biases
    return Detector(found[DETECTOR_WEIGHTS].astype(np.float64), float(found[DETECTOR_BIAS]), own, reads_hidden)


def _member(model: bytes, card: Card, member: int) -> Any:
    layers = [read_layer(model, card, member, layer, np.float64) for layer in range(1, len(card.layer_widths))]
    return assemble(
        [layer.weights for layer in layers],
        [layer.biases for layer in layers],
        np.array(card.labels),
        activation=card.activation,
        output_activation=card.output_activation,
    )
