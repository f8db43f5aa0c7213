"""The names and forms of inputs and outputs are those of the graphs of the models at hand."""

import numpy as np
import onnx
import pytest

from artifact.card import CARD_KEY, Card
from artifact.names import Form, inputs, outputs
from artifact.store import VersionFolder, default_model, find_versions
from tests.support.server import MODELS


def forms(infos: list[onnx.ValueInfoProto]) -> dict[str, Form]:
    found = {}
    for info in infos:
        kind = info.type.tensor_type
        shape = tuple(side.dim_value for side in kind.shape.dim[1:])
        found[info.name] = Form(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).type, shape)
    return found


@pytest.mark.parametrize("folder", find_versions(MODELS), ids=lambda folder: f"{folder.name}:{folder.version}")
def test_a_card_tells_the_outputs_of_its_graph(folder: VersionFolder):
    """In the order of the graph, with their types and widths."""
    model = onnx.load(folder.onnx)
    [card] = [Card.from_json(entry.value) for entry in model.metadata_props if entry.key == CARD_KEY]
    assert inputs(card) == forms(model.graph.input)
    assert list(outputs(card).items()) == list(forms(model.graph.output).items())
    assert outputs(card)["label"] == (np.int64, ())


def test_the_default_model_is_the_preferred_one_or_the_first():
    """Or none."""
    assert default_model(["b", "mnist-16x16", "a"]) == "mnist-16x16"
    assert default_model(["b", "a"]) == "a"
    assert default_model([]) == ""
