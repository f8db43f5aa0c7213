"""The int8 variant: several times as fast on processors.

Static quantization, after B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018. Weights have a scale for each neuron, hidden layers a scale from the
ranges of their values on sample images. Pixels are integers of 8 bits already, so the first layer's inputs are exact.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from artifact.card import Card
from artifact.names import INPUT, scales_name, weights_name
from training.variants.rewriting import Product, Replacement, rewrite

# Weights of 7 bits, sign included: processors without VNNI add two products of a value and a weight in 16 bits, and
# 2 * 255 * 63 fits into them.
_GREATEST = 63
_STEPS = 255


def build_int8(model: bytes, card: Card, variant_card: Card, ranges: Mapping[str, tuple[float, float]]) -> bytes:
    """The model.int8.onnx for `model` (the bytes of model.onnx).

    `ranges` has the least and the greatest value of each hidden layer by its name; values beyond are clipped. Weights
    are int8 [inputs, neurons] with their old names; their scales are float32 [neurons] with the names `scales_name`.
    """

    def replace(node: onnx.NodeProto, product: Product | None) -> Replacement | None:
        return None if product is None else _quantize(product, ranges.get(product.inputs))

    return rewrite(model, card, variant_card, replace)


def _quantize(product: Product, values: tuple[float, float] | None) -> Replacement:
    """The product in integers. `values` is the range of its inputs, None for pixels."""
    replacement = Replacement()
    place = f"member_{product.member}.layer_{product.layer}"
    weights, scales = _to_whole(product.weights)
    replacement.constants[weights_name(product.member, product.layer)] = weights
    replacement.constants[scales_name(product.member, product.layer)] = scales
    wholes = [INPUT, weights_name(product.member, product.layer)]
    scale = scales_name(product.member, product.layer)
    if values is not None:
        step, zero = _steps(*values)
        replacement.constants |= {f"{place}.step": step, f"{place}.zero": zero}
        wholes[0] = replacement.add(
            "QuantizeLinear", [product.inputs, f"{place}.step", f"{place}.zero"], f"{place}.inputs"
        )
        wholes.append(f"{place}.zero")
        scale = replacement.add(
            "Mul", [scale, f"{place}.step"], f"{place}.scale"
        )  # of two constants: onnxruntime folds it at load
    summed = replacement.add("MatMulInteger", wholes, f"{place}.sum")
    floats = replacement.add("Cast", [summed], f"{place}.float", to=onnx.TensorProto.FLOAT)
    replacement.add("Mul", [floats, scale], product.output)
    return replacement


def _to_whole(weights: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as int8 [inputs, neurons], and the scale of each neuron, float32 [neurons]."""
    scales = np.abs(weights.astype(np.float64)).max(axis=0) / _GREATEST
    scales[scales == 0] = 1
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def _steps(least: float, greatest: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Scale and zero point of a range of values."""
    least, greatest = min(least, 0.0), max(greatest, 0.0)
    step = (greatest - least) / _STEPS or 1.0
    return np.array(step, np.float32), np.array(round(-least / step), np.uint8)
