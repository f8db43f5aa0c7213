"""A variant whose products are of float16: half the memory, and the tensor cores of GPUs."""

import numpy as np
import onnx

from artifact.card import Card
from artifact.names import INPUT, biases_name, weights_name
from artifact.weights import HALF_INK
from training.variants.rewriting import Part, Product, rewrite

_BETWEEN_PRODUCTS = ("Add", "Relu", "Sigmoid", "Tanh")


def build_fp16(model: bytes, card: Card, variant_card: Card) -> bytes:
    """The model.fp16.onnx for `model` (the bytes of model.onnx): weights and hidden layers in float16.

    What comes out is float32, and the last step to the scores is taken in it.
    """
    layers = len(card.layer_widths) - 1
    halves: dict[str, str] = {}  # float32 tensor -> the same in float16

    def replace(node: onnx.NodeProto, product: Product | None) -> Part | None:
        if product is not None:
            return _halved(product, halves)
        if list(node.input) == [INPUT]:
            return _ink(node.output[0], halves)
        source = node.input[0]
        if source not in halves or node.op_type not in _BETWEEN_PRODUCTS:
            return None
        # The biases' sum or an activation: in float16 as well, and in float32 for whoever else reads it.
        name = node.output[0]
        halves[name] = f"{name}.half"
        part = Part()
        part.add(node.op_type, [halves[source], *node.input[1:]], halves[name])
        part.add("Cast", [halves[name]], name, to=onnx.TensorProto.FLOAT)
        return part

    def stop_at_the_last(node: onnx.NodeProto, product: Product | None) -> Part | None:
        part = replace(node, product)
        if node.op_type == "Add" and node.input[1] in last:
            del halves[node.output[0]]
        return part

    last = {biases_name(member, layers) for member in range(card.members)}
    return rewrite(model, card, variant_card, stop_at_the_last)


def _ink(name: str, halves: dict[str, str]) -> Part:
    part = Part(constants={"ink.scale": np.array(1 / HALF_INK, np.float16)})
    half = part.add("Cast", [INPUT], f"{name}.whole", to=onnx.TensorProto.FLOAT16)
    halves[name] = part.add("Mul", [half, "ink.scale"], f"{name}.half")
    return part


def _halved(product: Product, halves: dict[str, str]) -> Part:
    weights = product.weights * np.float32(HALF_INK) if product.layer == 1 else product.weights
    part = Part()
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and the scores will show it
        part.constants[weights_name(product.member, product.layer)] = weights.astype(np.float16)
        part.constants[biases_name(product.member, product.layer)] = product.biases.astype(np.float16)
    halves[product.output] = f"{product.output}.half"
    inputs = [halves[product.inputs], weights_name(product.member, product.layer)]
    part.add("MatMul", inputs, halves[product.output])
    return part
