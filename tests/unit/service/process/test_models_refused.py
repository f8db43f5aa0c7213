"""A models folder with something wrong in it stops the start with one clear sentence."""

import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from artifact.card import CARD_KEY, Card
from tests.support.repositories import edit_card, spoil
from tests.support.server import MODELS, NAMES
from tests.unit.service.process.refusals import refusal


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with digits-8x8 alone, for breaking."""
    shutil.copytree(MODELS / "digits-8x8", tmp_path / "models" / "digits-8x8")
    return tmp_path / "models"


async def test_a_folder_that_does_not_exist(tmp_path):
    assert await refusal(models=tmp_path / "nowhere") == f"models folder {tmp_path / 'nowhere'} does not exist"


async def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    assert await refusal(models=tmp_path / "file") == f"models folder {tmp_path / 'file'} is not a folder"


async def test_an_empty_folder(tmp_path):
    sentence = await refusal(models=tmp_path)
    assert sentence == f"models folder {tmp_path} holds no model, expected <name>/<version>/model.onnx in it"


async def test_a_version_without_a_model(models):
    (models / "digits-8x8" / "1" / "model.onnx").unlink()
    assert "model.onnx cannot be read: No such file or directory" in await refusal(models=models)


async def test_an_onnx_file_that_is_none(models):
    (models / "digits-8x8" / "1" / "model.onnx").write_bytes(b"not a protobuf at all")
    assert "model.onnx cannot be loaded on CPUExecutionProvider" in await refusal(models=models)


async def test_an_onnx_file_cut_short(models):
    path = models / "digits-8x8" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-200])
    assert str(path) in await refusal(models=models)


def change(models: Path, edit) -> None:
    """Load model.onnx, let `edit` at it, and save it."""
    path = models / "digits-8x8" / "1" / "model.onnx"
    model = onnx.load(path)
    edit(model)
    onnx.save(model, path)


def with_card(**fields):
    """An edit that changes fields of the card."""
    return lambda model: edit_card(model, **fields)


def without_card(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def with_garbled_card(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = '{"name": "digits-8x8"'


def without_a_card_field(model: onnx.ModelProto) -> None:
    prop = model.metadata_props[0]
    prop.value = prop.value.replace('"pixel_max"', '"pixel_most"')


def with_other_scores(model: onnx.ModelProto) -> None:
    for output in model.graph.output:
        if output.name == "scores":
            output.name = "points"
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == "scores":
                    names[index] = "points"


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (without_card, "has no card: its ONNX metadata lacks the key digits.card"),
        (with_garbled_card, "card: not JSON"),
        (without_a_card_field, "card: pixel_max is missing"),
        (with_card(name="other"), "says it is other version 1, but its folder says digits-8x8 version 1"),
        (with_card(version=2), "says it is digits-8x8 version 2, but its folder says digits-8x8 version 1"),
        (with_other_scores, "has no output scores, which its card promises"),
        (spoil, "does not reproduce its golden rows on CPUExecutionProvider"),
        (with_card(tolerance={"CPUExecutionProvider": 0.0}), "does not reproduce its golden rows"),
    ],
)
async def test_a_model_that_is_not_what_it_says(models, edit, sentence):
    """The card, the graph and the golden rows are held against each other."""
    change(models, edit)
    assert sentence in await refusal(models=models)


async def test_a_graph_that_does_not_fit_its_card(models):
    """A card of 28×28 on a graph of 8×8."""
    with_other_shape = with_card(rows=28, cols=28, layer_widths=(784, *read_card(models).layer_widths[1:]))
    change(models, with_other_shape)
    assert "model.onnx: input pixels is tensor(uint8)" in await refusal(models=models)


def read_card(models: Path) -> Card:
    model = onnx.load(models / "digits-8x8" / "1" / "model.onnx")
    return Card.from_json(next(prop.value for prop in model.metadata_props if prop.key == CARD_KEY))


async def test_golden_rows_that_are_missing(models):
    (models / "digits-8x8" / "1" / "golden.npz").unlink()
    assert "golden.npz is missing" in await refusal(models=models)


async def test_golden_rows_that_are_garbage(models):
    (models / "digits-8x8" / "1" / "golden.npz").write_bytes(b"PK but no zip")
    assert "golden.npz cannot be read" in await refusal(models=models)


async def test_golden_rows_of_another_form(models):
    path = models / "digits-8x8" / "1" / "golden.npz"
    with np.load(path) as arrays:
        changed = {name: arrays[name].astype(np.float64) for name in arrays}
    np.savez(path, **changed)
    assert "golden.npz: pixels is float64" in await refusal(models=models)


async def test_a_default_model_that_is_not_there():
    sentence = await refusal(models=MODELS, default_model="nobody")
    assert sentence == f"default model nobody is not in {MODELS}, which holds {NAMES}"


async def test_a_default_model_that_is_broken(models):
    """Whoever names a default wants it, not another."""
    shutil.copytree(MODELS / "mnist-16x16", models / "mnist-16x16")
    change(models, spoil)
    assert "does not reproduce" in await refusal(models=models, default_model="digits-8x8")


async def test_a_model_file_that_is_a_pipe(models):
    """Reading it would wait for ever."""
    path = models / "digits-8x8" / "1" / "model.onnx"
    path.unlink()
    os.mkfifo(path)
    assert "it is no file" in await refusal(models=models)


async def test_a_provider_that_is_required_but_missing(models):
    """onnxruntime would fall back to the CPU with no more than a log line."""
    assert "CUDAExecutionProvider" in await refusal(models=models, provider="cuda", require_provider=True)
