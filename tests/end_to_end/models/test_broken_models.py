"""A models folder with something wrong in it: one clear sentence, and the good models go on."""

import shutil
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb

from artifact.card import CARD_KEY, Card
from tests.support.repositories import edit_card, spoil
from tests.support.server import MODELS, NAMES, StartServer, Stub

# Either front loads models by the same code; that the reason for a refusal comes out of the processes of either is seen
# by the tests without this mark.
by_either_front = pytest.mark.front("grpcio")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with digits-8x8 alone, for breaking."""
    shutil.copytree(MODELS / "digits-8x8", tmp_path / "models" / "digits-8x8")
    return tmp_path / "models"


def refused(start_server: StartServer, models: Path, *flags: str) -> str:
    """The sentence with which the server refuses to start."""
    server = start_server(*flags, models=models, wait=False)
    assert server.process.wait(30) == 1
    server.reader.join(5)
    assert "Traceback" not in "".join(server.text)
    assert server.text[-1].startswith("digits: ")
    return server.text[-1].removeprefix("digits: ").strip()


@by_either_front
def test_a_folder_that_does_not_exist(start_server, tmp_path):
    assert refused(start_server, tmp_path / "nowhere") == f"models folder {tmp_path / 'nowhere'} does not exist"


@by_either_front
def test_a_folder_that_is_a_file(start_server, tmp_path):
    (tmp_path / "file").touch()
    assert refused(start_server, tmp_path / "file") == f"models folder {tmp_path / 'file'} is not a folder"


@by_either_front
def test_an_empty_folder(start_server, tmp_path):
    sentence = refused(start_server, tmp_path)
    assert sentence == f"models folder {tmp_path} holds no model, expected <name>/<version>/model.onnx in it"


@by_either_front
def test_a_version_without_a_model(start_server, models):
    (models / "digits-8x8" / "1" / "model.onnx").unlink()
    assert "model.onnx cannot be read: No such file or directory" in refused(start_server, models)


@by_either_front
def test_an_onnx_file_that_is_none(start_server, models):
    (models / "digits-8x8" / "1" / "model.onnx").write_bytes(b"not a protobuf at all")
    assert "model.onnx cannot be loaded on CPUExecutionProvider" in refused(start_server, models)


@by_either_front
def test_an_onnx_file_cut_short(start_server, models):
    path = models / "digits-8x8" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-200])
    assert str(path) in refused(start_server, models)


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


@by_either_front
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
def test_a_model_that_is_not_what_it_says(start_server, models, edit, sentence):
    """The card, the graph and the golden rows are held against each other."""
    change(models, edit)
    assert sentence in refused(start_server, models)


@by_either_front
def test_a_graph_that_does_not_fit_its_card(start_server, models):
    """A card of 28×28 on a graph of 8×8."""
    with_other_shape = with_card(rows=28, cols=28, layer_widths=(784, *read_card(models).layer_widths[1:]))
    change(models, with_other_shape)
    assert "model.onnx: input pixels is tensor(uint8)" in refused(start_server, models)


def read_card(models: Path) -> Card:
    model = onnx.load(models / "digits-8x8" / "1" / "model.onnx")
    return Card.from_json(next(prop.value for prop in model.metadata_props if prop.key == CARD_KEY))


@by_either_front
def test_golden_rows_that_are_missing(start_server, models):
    (models / "digits-8x8" / "1" / "golden.npz").unlink()
    assert "golden.npz is missing" in refused(start_server, models)


@by_either_front
def test_golden_rows_that_are_garbage(start_server, models):
    (models / "digits-8x8" / "1" / "golden.npz").write_bytes(b"PK but no zip")
    assert "golden.npz cannot be read" in refused(start_server, models)


@by_either_front
def test_golden_rows_of_another_form(start_server, models):
    path = models / "digits-8x8" / "1" / "golden.npz"
    with np.load(path) as arrays:
        changed = {name: arrays[name].astype(np.float64) for name in arrays}
    np.savez(path, **changed)
    assert "golden.npz: pixels is float64" in refused(start_server, models)


def test_golden_rows_with_one_score_changed(start_server, models):
    path = models / "digits-8x8" / "1" / "golden.npz"
    with np.load(path) as arrays:
        changed = {name: arrays[name].copy() for name in arrays}
    changed["scores"][3, 4] += 1e-3
    np.savez(path, **changed)
    assert "scores differ by 0.001 where 1e-05 is allowed" in refused(start_server, models)


@by_either_front
def test_a_default_model_that_is_not_there(start_server):
    sentence = refused(start_server, MODELS, "--default-model=nobody")
    assert sentence == f"default model nobody is not in {MODELS}, which holds {NAMES}"


@by_either_front
def test_a_default_model_that_is_broken(start_server, models):
    """Whoever names a default wants it, not another."""
    shutil.copytree(MODELS / "mnist-16x16", models / "mnist-16x16")
    change(models, spoil)
    assert "does not reproduce" in refused(start_server, models, "--default-model=digits-8x8")


def test_one_broken_version_does_not_stop_the_others(start_server, models, mnist_test):
    """It is listed as failed with its reason, and refuses calls as UNAVAILABLE; the rest serves."""
    shutil.copytree(MODELS / "mnist-16x16", models / "mnist-16x16")
    (models / "mnist-16x16" / "2" / "model.onnx").write_bytes(b"broken")
    server = start_server(models=models)
    one = mnist_test[0][0].tobytes()
    with server.channel() as channel:
        stub = Stub(channel)
        listed = stub.list_models(pb.ListModelsRequest(), timeout=10)
        states = {(model.name, v.version): v for model in listed.models for v in model.versions}
        assert states["digits-8x8", "1"].state == pb.MODEL_STATE_READY
        assert states["mnist-16x16", "1"].state == pb.MODEL_STATE_READY
        assert states["mnist-16x16", "2"].state == pb.MODEL_STATE_FAILED
        assert "cannot be loaded" in states["mnist-16x16", "2"].reason
        assert stub.classify(pb.ClassifyRequest(pixels=one), timeout=10).model.version == "1"
        with pytest.raises(grpc.RpcError) as raised:
            stub.classify(pb.ClassifyRequest(pixels=one, version="2"), timeout=10)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "model mnist-16x16 version 2 is not ready" in raised.value.details()
    assert server.wait_for("model failed")["model"] == "mnist-16x16"


@by_either_front
def test_other_folders_are_passed_over(start_server, models):
    """A stray file, a hidden folder, a version that is no number."""
    (models / "notes.txt").touch()
    (models / ".training" / "1").mkdir(parents=True)
    (models / "digits-8x8" / "draft").mkdir()
    (models / "digits-8x8" / "02").mkdir()
    server = start_server(models=models)
    with server.channel() as channel:
        [model] = Stub(channel).list_models(pb.ListModelsRequest(), timeout=10).models
    assert [version.version for version in model.versions] == ["1"]
