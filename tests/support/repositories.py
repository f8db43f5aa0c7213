"""Models folders for tests to change: real versions, under other numbers, whole or broken."""

import shutil
from pathlib import Path

import onnx

from artifact.card import CARD_KEY, Card
from tests.support.server import MODELS


def edit_card(model: onnx.ModelProto, **fields: object) -> None:
    """Change fields of the card inside `model`."""
    for prop in model.metadata_props:
        if prop.key == CARD_KEY:
            card = Card.from_json(prop.value)
            values = {name: getattr(card, name) for name in Card.__dataclass_fields__}
            prop.value = Card(**(values | fields)).to_json()


def spoil(model: onnx.ModelProto) -> None:
    """Change the weights of the first layer, so that golden rows no longer reproduce."""
    for tensor in model.graph.initializer:
        if tensor.name == "member_0.weights_1":
            weights = onnx.numpy_helper.to_array(tensor) + 0.01
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))


def remove(models: Path, name: str, version: int) -> None:
    """Take a version away all at once, as an operator should: a folder half deleted would be loaded as it is."""
    gone = models / f".gone-{name}-{version}"
    (models / name / str(version)).rename(gone)
    shutil.rmtree(gone)


def place(models: Path, name: str, version: int, *, source: int = 1, broken: bool = False) -> Path:
    """Put the committed `name` version `source` into `models` as `version`, all at once, as an operator should."""
    target = models / name / str(version)
    unfinished = models / f".{name}-{version}"
    shutil.copytree(MODELS / name / str(source), unfinished, ignore=shutil.ignore_patterns("report", "*.skops"))
    model = onnx.load(unfinished / "model.onnx")
    edit_card(model, version=version)
    if broken:
        spoil(model)
    onnx.save(model, unfinished / "model.onnx")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    unfinished.rename(target)
    return target
