"""The names inside `model.onnx`: its input, its outputs with their forms, and its parameters."""

from typing import NamedTuple

import numpy as np

from artifact.card import Card

INPUT = "pixels"
LABEL = "label"
SCORES = "scores"
NOT_A_DIGIT = "not_a_digit"
"""Only where `Card.detects_outliers`."""

DETECTOR_WEIGHTS = "detector.weights"
"""Initializer behind `NOT_A_DIGIT`, float32 [width of the last hidden layers of all members], or [width of its own]."""
DETECTOR_BIAS = "detector.bias"
"""Initializer behind `NOT_A_DIGIT`, float32, one number."""
DETECTOR_HIDDEN_WEIGHTS = "detector.hidden_weights"
"""Initializer of a detector with a hidden layer of its own, float32 [inputs, width], where the inputs are raw pixels
or all hidden layers of all members."""
DETECTOR_HIDDEN_BIASES = "detector.hidden_biases"
"""Likewise, float32 [width]."""
DETECTOR_INK = "detector.ink"
"""The pixels that such a layer reads, float32 [N, rows*cols]; absent where it reads hidden layers."""


class Form(NamedTuple):
    """dtype and shape of an input or output for one image."""

    dtype: type[np.generic]
    shape: tuple[int, ...]
    """() for one value, (width,) for a row of them."""


def inputs(card: Card) -> dict[str, Form]:
    """The one input: the raw pixels, uint8 [N, rows*cols]."""
    return {INPUT: Form(np.uint8, (card.features,))}


def main_outputs(card: Card) -> dict[str, Form]:
    """The outputs that every run computes, in the order of the graph: label, scores, not_a_digit if there is one."""
    forms = {LABEL: Form(np.int64, ()), SCORES: Form(np.float32, (len(card.classes),))}
    return forms | {NOT_A_DIGIT: Form(np.float32, ())} if card.detects_outliers else forms


def outputs(card: Card) -> dict[str, Form]:
    """All outputs in the order of the graph: the main ones, then the hidden layers, values after the activation."""
    hidden = zip(card.hidden_names, card.hidden_widths, strict=True)
    return main_outputs(card) | {name: Form(np.float32, (width,)) for name, width in hidden}


def weights_name(member: int, layer: int) -> str:
    """Initializer with the weights, float32 [inputs, neurons], of `layer` (from 1) of `member` (from 0)."""
    return f"member_{member}.weights_{layer}"


def biases_name(member: int, layer: int) -> str:
    """Initializer with the biases, float32 [neurons], of `layer` (from 1) of `member` (from 0)."""
    return f"member_{member}.biases_{layer}"


def scales_name(member: int, layer: int) -> str:
    """Initializer of the variant int8 with the factors of the whole numbers under `weights_name`, float32."""
    return f"member_{member}.scales_{layer}"
