"""A variant whose products are of whole numbers of 8 bits: several times as fast on processors.

Static quantization, after B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018: weights in steps of their own for each neuron, what hidden layers hold in
steps found beforehand on images. Pixels are whole numbers of 8 bits already, so the first layer's inputs are exact.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from artifact.card import Card
from artifact.names import INPUT, scales_name, weights_name
from training.variants.rewriting import Part, Product, rewrite

# Weights of 7 bits, sign included: processors without dot products of bytes (VNNI) add two products of a pixel or
# value and a weight in 16 bits, and 2 * 255 * 63 is the most that is sure to fit.
_GREATEST = 63
_STEPS = 255


def build_int8(model: bytes, card: Card, variant_card: Card, ranges: Mapping[str, tuple[float, float]]) -> bytes:
    """The model.int8.onnx for `model` (the bytes of model.onnx).

    `ranges` says for each hidden layer, by its name, the least and the greatest value that it holds; what is beyond
    counts as that. Weights are int8 [inputs, neurons] under their old names, to be multiplied by float32 [neurons]
    under `scales_name`.
    """

    def replace(node: onnx.NodeProto, product: Product | None) -> Part | None:
        return None if product is None else _quantized(product, ranges.get(product.inputs))

    return rewrite(model, card, variant_card, replace)


def _quantized(product: Product, values: tuple[float, float] | None) -> Part:
    """The product in whole numbers; without `values` of pixels."""
    part = Part()
    place = f"member_{product.member}.layer_{product.layer}"
    weights, scales = _whole(product.weights)
    part.constants[weights_name(product.member, product.layer)] = weights
    part.constants[scales_name(product.member, product.layer)] = scales
    wholes = [INPUT, weights_name(product.member, product.layer)]
    scale = scales_name(product.member, product.layer)
    if values is not None:
        step, zero = _steps(*values)
        part.constants |= {f"{place}.step": step, f"{place}.zero": zero}
        wholes[0] = part.add("QuantizeLinear", [product.inputs, f"{place}.step", f"{place}.zero"], f"{place}.inputs")
        wholes.append(f"{place}.zero")
        scale = part.add("Mul", [scale, f"{place}.step"], f"{place}.scale")  # of two constants: done at load
    summed = part.add("MatMulInteger", wholes, f"{place}.sum")
    floats = part.add("Cast", [summed], f"{place}.float", to=onnx.TensorProto.FLOAT)
    part.add("Mul", [floats, scale], product.output)
    return part


def _whole(weights: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as whole numbers [inputs, neurons], and what each neuron's are to be multiplied by."""
    scales = np.abs(weights.astype(np.float64)).max(axis=0) / _GREATEST
    scales[scales == 0] = 1
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def _steps(least: float, greatest: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The step between two whole numbers, and the one that stands for 0, which has to be among them."""
    least, greatest = min(least, 0.0), max(greatest, 0.0)
    step = (greatest - least) / _STEPS or 1.0
    return np.array(step, np.float32), np.array(round(-least / step), np.uint8)
