"""Fitted `MLPClassifier`s as an ONNX graph with raw pixels as its input and hidden layers among its outputs.

skl2onnx converts the networks. This module keeps the arithmetic of their graphs, gives them one uint8 input and
names their tensors by `artifact.names`.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from artifact.card import CARD_KEY, Card
from artifact.names import (
    DETECTOR_BIAS,
    DETECTOR_HIDDEN_BIASES,
    DETECTOR_HIDDEN_WEIGHTS,
    DETECTOR_INK,
    DETECTOR_WEIGHTS,
    INPUT,
    LABEL,
    NOT_A_DIGIT,
    SCORES,
    Form,
    biases_name,
    inputs,
    outputs,
    weights_name,
)
from training.evaluate.detector import Detector

# Every onnxruntime from 1.26 on reads both.
OPSET = 17
IR_VERSION = 8

_INK = "ink"  # the pixels as float32
_SUM, _SHARE = "scores_sum", "member_share"  # of an ensemble: the sum of the members' scores, and the weight of each
# Smaller weights become 0. The penalty of the fit drives some below 1e-38, where numbers are subnormal and
# processors multiply a hundred times slower: a few of them made one network eighteen times slower.
_NOTHING = 1e-30
# Operators without effect between the float32 input and the float32 scores.
_NO_OPERATION = ("Cast", "Identity")


class GraphError(ValueError):
    """The classifiers cannot become a graph; the message says why."""


def build_graph(classifiers: Sequence[Any], card: Card, detector: Detector | None = None) -> bytes:
    """`model.onnx` for fitted `MLPClassifier`s; the same classifiers and card give the same bytes.

    Input: `pixels` uint8 [N, rows*cols]. Outputs: `label` int64 [N]; `scores` float32 [N, classes], the mean of
    all classifiers; `hidden_1`, `hidden_2`, … float32 [N, width], the activations of each classifier in turn; with a
    `detector` also `not_a_digit` float32 [N]. The scaling `(p - pixel_offset) * pixel_scale` is folded into the
    first layers in float64, and weights below 1e-30 become 0. The metadata holds the card. Raises `GraphError` if
    skl2onnx cannot convert a classifier or gives an unexpected graph.
    """
    nodes = [helper.make_node("Cast", [INPUT], [_INK], to=TensorProto.FLOAT)]
    initializers: list[onnx.TensorProto] = []
    for member, classifier in enumerate(classifiers):
        own_nodes, own_initializers = _member(classifier, card, member)
        nodes += own_nodes
        initializers += own_initializers
    if card.members > 1:  # two nodes, because onnxruntime has no CUDA kernel for Mean
        nodes.append(helper.make_node("Sum", [_own(SCORES, card, member) for member in range(card.members)], [_SUM]))
        nodes.append(helper.make_node("Mul", [_SUM, _SHARE], [SCORES]))
        initializers.append(numpy_helper.from_array(np.array(1 / card.members, dtype=np.float32), _SHARE))
    if detector is not None:
        own_nodes, own_initializers = _detector(detector, card)
        nodes += own_nodes
        initializers += own_initializers
    counting = card.labels == tuple(range(len(card.labels)))
    winner = LABEL if counting else "winner"
    nodes.append(helper.make_node("ArgMax", [SCORES], [winner], axis=1, keepdims=0))
    if not counting:
        initializers.append(numpy_helper.from_array(np.array(card.labels, dtype=np.int64), "labels"))
        nodes.append(helper.make_node("Gather", ["labels", winner], [LABEL], axis=0))
    for node in nodes:
        node.name = node.output[0]

    graph = helper.make_graph(
        nodes,
        card.name,
        _value_infos(inputs(card)),
        _value_infos(outputs(card)),
        initializers,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="digits",
        model_version=card.version,
    )
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(model, full_check=True)
    encoded: bytes = model.SerializeToString(deterministic=True)
    return encoded


def _value_infos(forms: dict[str, Form]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(form.dtype)), ["N", *form.shape])
        for name, form in forms.items()
    ]


def _member(classifier: Any, card: Card, member: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes and initializers of one network, from the scaled pixels to its scores."""
    converted = _convert(classifier)
    arithmetic = _arithmetic(converted.graph, card, member)
    used = {name for node in arithmetic for name in node.input}
    constants = [tensor for tensor in converted.graph.initializer if tensor.name in used]
    for tensor in constants:
        old, tensor.name = tensor.name, _own(tensor.name, card, member)
        _rename(arithmetic, old, tensor.name)
    parameters = _parameters(classifier, card, member)
    return arithmetic, constants + [numpy_helper.from_array(array, name) for name, array in parameters.items()]


def _detector(detector: Detector, card: Card) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes and initializers of the detector, a neuron on the last hidden layers of all networks or on its own."""
    if detector.own is not None:
        nodes, read, initializers = _own_hidden(*detector.own, card, reads_hidden=detector.reads_hidden)
    else:
        nodes, read = _together(_last_hidden(card), "last_hidden")
        initializers = []
    nodes += [
        helper.make_node("MatMul", [read, DETECTOR_WEIGHTS], ["detector.product"]),
        helper.make_node("Add", ["detector.product", DETECTOR_BIAS], ["detector.value"]),
        helper.make_node("Sigmoid", ["detector.value"], [NOT_A_DIGIT]),
    ]
    weights, bias = detector.weights.astype(np.float32), np.array(detector.bias, np.float32)
    initializers += [numpy_helper.from_array(weights, DETECTOR_WEIGHTS), numpy_helper.from_array(bias, DETECTOR_BIAS)]
    return nodes, initializers


def _own_hidden(
    weights: NDArray[np.float64], biases: NDArray[np.float64], card: Card, *, reads_hidden: bool
) -> tuple[list[onnx.NodeProto], str, list[onnx.TensorProto]]:
    """Nodes, output and initializers of the hidden layer of a detector, with the scaling of the pixels folded in."""
    if reads_hidden:
        nodes, read = _together(list(card.hidden_names), "detector.read")
    else:
        weights = weights * card.pixel_scale
        biases = biases - card.pixel_offset * weights.sum(axis=0)
        # A Cast of its own: a variant may replace the networks'.
        read = DETECTOR_INK
        nodes = [helper.make_node("Cast", [INPUT], [read], to=TensorProto.FLOAT)]
    nodes += [
        helper.make_node("MatMul", [read, DETECTOR_HIDDEN_WEIGHTS], ["detector.hidden_product"]),
        helper.make_node("Add", ["detector.hidden_product", DETECTOR_HIDDEN_BIASES], ["detector.hidden_value"]),
        helper.make_node("Relu", ["detector.hidden_value"], ["detector.hidden"]),
    ]
    arrays = {DETECTOR_HIDDEN_WEIGHTS: weights, DETECTOR_HIDDEN_BIASES: biases}
    initializers = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    return nodes, "detector.hidden", initializers


def _last_hidden(card: Card) -> list[str]:
    """The last hidden layers of all networks."""
    layers = len(card.layer_widths) - 2
    if not layers:
        raise GraphError("a detector needs a network with hidden layers")
    return list(card.hidden_names[layers - 1 :: layers])


def _together(names: list[str], name: str) -> tuple[list[onnx.NodeProto], str]:
    """Nodes and output, called `name` where there are several, with the values of all `names` side by side."""
    if len(names) == 1:
        return [], names[0]
    return [helper.make_node("Concat", names, [name], axis=1)], name


def _own(name: str, card: Card, member: int) -> str:
    """The name of a tensor in the network of `member`."""
    return name if card.members == 1 else f"member_{member}.{name}"


def _convert(classifier: Any) -> onnx.ModelProto:
    """The graph that skl2onnx makes of the classifier, with scores as one float32 tensor."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    # skl2onnx assumes one output neuron for two classes. The part of its graph about classes is not kept.
    own = copy.copy(classifier)
    own.classes_ = np.arange(2 if classifier.n_outputs_ == 1 else max(3, classifier.n_outputs_))
    try:
        converted: onnx.ModelProto = to_onnx(
            own,
            initial_types=[(INPUT, FloatTensorType([None, classifier.coefs_[0].shape[0]]))],
            options={id(own): {"zipmap": False}},
            target_opset={"": OPSET, "ai.onnx.ml": 1},
        )
    except Exception as error:  # skl2onnx raises many types
        raise GraphError(f"skl2onnx cannot convert the classifier: {error}") from error
    return converted


def _parameters(classifier: Any, card: Card, member: int) -> dict[str, NDArray[np.float32]]:
    """Weights [inputs, neurons] and biases [neurons] of all layers by their names in the file."""
    parameters = {}
    for layer, (weights, biases) in enumerate(zip(classifier.coefs_, classifier.intercepts_, strict=True), start=1):
        weights, biases = weights.astype(np.float64), biases.astype(np.float64)
        if layer == 1:
            weights = weights * card.pixel_scale
            biases = biases - card.pixel_offset * weights.sum(axis=0)
        weights = np.where(np.abs(weights) < _NOTHING, 0, weights)
        parameters[weights_name(member, layer)] = np.ascontiguousarray(weights, dtype=np.float32)
        parameters[biases_name(member, layer)] = np.ascontiguousarray(biases, dtype=np.float32)
    return parameters


def _arithmetic(graph: onnx.GraphProto, card: Card, member: int) -> list[onnx.NodeProto]:
    """skl2onnx's nodes from the pixels to the scores with our names, without those that have no effect."""
    makers = {name: node for node in graph.node for name in node.output}
    needed, waiting = set(), ["probabilities"]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting.extend(makers[name].input if name in makers else ())

    names = {INPUT: _INK}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.output[0] in needed and node.op_type in _NO_OPERATION:
            names[node.output[0]] = names.get(node.input[0], node.input[0])
        elif node.output[0] in needed:
            kept.append(node)
            node.input[:] = [names.get(name, name) for name in node.input]
    layers = len(card.layer_widths) - 1
    kinds = [node.op_type for node in kept]
    if [kind for kind in kinds if kind in ("MatMul", "Add")] != ["MatMul", "Add"] * layers:
        raise GraphError(f"skl2onnx gave a graph of another form than expected: {', '.join(kinds)}")

    hidden = iter(card.hidden_names[member * (layers - 1) :])
    layer = 0
    for position, node in enumerate(kept):
        if node.op_type == "MatMul":
            layer += 1
            node.input[1] = weights_name(member, layer)
        elif node.op_type == "Add":
            node.input[1] = biases_name(member, layer)
        following = kinds[position + 1 : position + 2]
        # The next product reads the output of a hidden layer, with an activation or without.
        if following == ["MatMul"]:
            new = next(hidden)
        else:
            new = _own(f"value_{position}" if following else SCORES, card, member)
        _rename(kept, node.output[0], new)
    return kept


def _rename(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    """Rename the tensor `old` to `new` in all nodes."""
    for node in nodes:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
