"""The weights and biases inside `model.onnx`, as scikit-learn has them."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from artifact.names import biases_name, scales_name, weights_name

HALF_INK = 256.0
"""The variant fp16 divides pixels by it and multiplies its first-layer weights by it: weights for pixels up to 255 are
so small that float16 has few digits for them, and a power of two loses none."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of neurons: output = activation(input @ weights + biases)."""

    activation: str
    weights: NDArray[Any]
    """Float [inputs, neurons], for inputs scaled as the card says."""
    biases: NDArray[Any]
    """Float [neurons]."""


def layer_activation(card: Card, layer: int) -> str:
    """The activation of `layer` (from 1)."""
    return card.output_activation if layer == len(card.layer_widths) - 1 else card.activation


def read_layer(model: bytes, card: Card, member: int, layer: int, dtype: Any = np.float32) -> Layer:
    """One layer of `model` (the bytes of model.onnx), `member` from 0 and `layer` from 1.

    In the file the scaling of the pixels is folded into the first layer; here it is taken out again,
    in float64, so what returns is `MLPClassifier.coefs_[layer - 1]` and `intercepts_[layer - 1]` to
    float32 precision; of a variant it is what that holds of them. With `dtype` float64 nothing is rounded,
    and folding it in again gives the file's numbers. Raises `ValueError` when the file lacks the layer.
    """
    folded = _layer(_read_tensors(model, _names(member, layer)), card, member, layer)
    weights, biases = folded.weights, folded.biases
    if layer == 1:
        biases = biases + card.pixel_offset * weights.sum(axis=0)
        weights = weights / card.pixel_scale
    return Layer(folded.activation, weights.astype(dtype), biases.astype(dtype))


def read_folded(model: bytes, card: Card) -> list[list[Layer]]:
    """All layers of all members of `model`, in float64; the first layers take raw pixels.

    Raises `ValueError` when the file lacks a layer.
    """
    depths = range(1, len(card.layer_widths))
    names = {name for member in range(card.members) for depth in depths for name in _names(member, depth)}
    tensors = _read_tensors(model, names)
    return [[_layer(tensors, card, member, depth) for depth in depths] for member in range(card.members)]


def _names(member: int, layer: int) -> set[str]:
    return {weights_name(member, layer), biases_name(member, layer), scales_name(member, layer)}


def _read_tensors(model: bytes, names: Container[str]) -> dict[str, NDArray[np.float64]]:
    """Those of the names that the graph has."""
    import onnx  # only here: a server that is never asked does not pay for the import
    from onnx import numpy_helper

    return {
        tensor.name: numpy_helper.to_array(tensor).astype(np.float64)
        for tensor in onnx.load_model_from_string(model).graph.initializer
        if tensor.name in names
    }


def _layer(tensors: Mapping[str, NDArray[np.float64]], card: Card, member: int, layer: int) -> Layer:
    """A layer as the file has it; the first one takes raw pixels."""
    wanted = {weights_name(member, layer), biases_name(member, layer)}
    if missing := wanted - tensors.keys():
        raise ValueError(f"the graph has no initializer {', '.join(sorted(missing))}")
    weights = tensors[weights_name(member, layer)] * tensors.get(scales_name(member, layer), 1.0)
    if layer == 1 and card.variant == "fp16":
        weights = weights / HALF_INK
    return Layer(layer_activation(card, layer), weights, tensors[biases_name(member, layer)])
