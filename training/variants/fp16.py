"""The float16 variant: half the memory, and the tensor cores of GPUs."""

import numpy as np
import onnx

from artifact.card import Card
from artifact.names import INPUT, biases_name, weights_name
from artifact.weights import HALF_INK
from training.variants.rewriting import Product, Replacement, rewrite

_BETWEEN_PRODUCTS = ("Add", "Relu", "Sigmoid", "Tanh")


def build_fp16(model: bytes, card: Card, variant_card: Card) -> bytes:
    """The model.fp16.onnx for `model` (the bytes of model.onnx): weights and hidden layers in float16.

    The outputs are float32, and so is the last step to the scores.
    """
    layers = len(card.layer_widths) - 1
    halves: dict[str, str] = {}  # float32 tensor -> the same in float16

    def replace(node: onnx.NodeProto, product: Product | None) -> Replacement | None:
        if product is not None:
            return _to_half(product, halves)
        if list(node.input) == [INPUT] and not node.output[0].startswith("detector."):
            return _ink(node.output[0], halves)
        source = node.input[0]
        if source not in halves or node.op_type not in _BETWEEN_PRODUCTS:
            return None
        # The sum with the biases or an activation: in float16, and in float32 for all other readers.
        name = node.output[0]
        halves[name] = f"{name}.half"
        replacement = Replacement()
        replacement.add(node.op_type, [halves[source], *node.input[1:]], halves[name])
        replacement.add("Cast", [halves[name]], name, to=onnx.TensorProto.FLOAT)
        return replacement

    def replace_all(node: onnx.NodeProto, product: Product | None) -> Replacement | None:
        replacement = replace(node, product)
        if node.op_type == "Add" and node.input[1] in last:
            del halves[node.output[0]]
        return replacement

    last = {biases_name(member, layers) for member in range(card.members)}
    return rewrite(model, card, variant_card, replace_all)


def _ink(name: str, halves: dict[str, str]) -> Replacement:
    replacement = Replacement(constants={"ink.scale": np.array(1 / HALF_INK, np.float16)})
    half = replacement.add("Cast", [INPUT], f"{name}.whole", to=onnx.TensorProto.FLOAT16)
    halves[name] = replacement.add("Mul", [half, "ink.scale"], f"{name}.half")
    return replacement


def _to_half(product: Product, halves: dict[str, str]) -> Replacement:
    weights = product.weights * np.float32(HALF_INK) if product.layer == 1 else product.weights
    replacement = Replacement()
    with np.errstate(over="ignore"):  # an overflow becomes infinite, which the check of the scores finds
        replacement.constants[weights_name(product.member, product.layer)] = weights.astype(np.float16)
        replacement.constants[biases_name(product.member, product.layer)] = product.biases.astype(np.float16)
    halves[product.output] = f"{product.output}.half"
    inputs = [halves[product.inputs], weights_name(product.member, product.layer)]
    replacement.add("MatMul", inputs, halves[product.output])
    return replacement
