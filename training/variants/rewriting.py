"""Rewrites the products in a model's graph; all other nodes stay the same."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from artifact.card import CARD_KEY, Card
from artifact.names import biases_name, weights_name


@dataclass(slots=True)
class Product:
    """The product `inputs @ weights` of one layer of one member, and the biases that are added to it."""

    member: int
    layer: int
    """From 1."""
    inputs: str
    """Name of the input tensor."""
    output: str
    """Name of the output tensor."""
    weights: NDArray[Any]
    biases: NDArray[Any]


@dataclass(slots=True)
class Replacement:
    """Nodes and their constants in the place of a node."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def add(self, kind: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output


def rewrite(
    model: bytes,
    card: Card,
    variant_card: Card,
    replace: Callable[[onnx.NodeProto, Product | None], Replacement | None],
) -> bytes:
    """The graph of `model` (the bytes of model.onnx) with some nodes replaced, and with `variant_card` as metadata.

    `replace` is called with each node, and with its product if the node is one; None keeps the node. New constants
    replace old ones of the same name, and unused ones are dropped. The same model gives the same bytes.
    """
    old = onnx.load_model_from_string(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in old.graph.initializer}
    products = {
        weights_name(member, layer): (member, layer)
        for member in range(card.members)
        for layer in range(1, len(card.layer_widths))
    }
    nodes: list[onnx.NodeProto] = []
    for node in old.graph.node:
        product = None
        if node.op_type == "MatMul" and node.input[1] in products:
            member, layer = products[node.input[1]]
            weights, biases = constants[weights_name(member, layer)], constants[biases_name(member, layer)]
            product = Product(member, layer, node.input[0], node.output[0], weights, biases)
        replacement = replace(node, product)
        if replacement is None:
            nodes.append(node)
        else:
            nodes += replacement.nodes
            constants |= replacement.constants
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        _without_unused(nodes, {output.name for output in old.graph.output}),
        old.graph.name,
        list(old.graph.input),
        list(old.graph.output),
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name in read],
    )
    new = helper.make_model(
        graph,
        opset_imports=list(old.opset_import),
        ir_version=old.ir_version,
        producer_name=old.producer_name,
        model_version=old.model_version,
    )
    helper.set_model_props(new, {CARD_KEY: variant_card.to_json()})
    onnx.checker.check_model(new, full_check=True)
    encoded: bytes = new.SerializeToString(deterministic=True)
    return encoded


def _without_unused(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes without those whose outputs are not used."""
    read, kept = set(outputs), []
    for node in reversed(nodes):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
    return kept[::-1]
