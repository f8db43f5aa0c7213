"""Faster variants: made of a version, held against it, refused when they are not good enough."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import skops.io
from PIL import Image
from typer.testing import CliRunner

from artifact.names import DETECTOR_BIAS, LABEL, NOT_A_DIGIT, SCORES
from artifact.store import VersionFolder
from artifact.weights import read_layer
from tests.support.calibrated_model import SCALE, export_sure
from tests.unit.training.running import run
from training.data.dataset import Part
from training.data.datasets import digits
from training.data.inputs import scale_pixels
from training.export.checks import ExportError
from training.export.export import export
from training.export.import_classifier import ExportOptions, data_sha256, import_classifier
from training.recipes import find
from training.train import train_all
from training.variants import variants
from training.variants.variants import TOLERANCE, add_variant, make_variant, read_version

KINDS = ("int8", "fp16")


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> VersionFolder:
    """A version that knows digits and has thresholds."""
    return export_sure(tmp_path_factory.mktemp("models"), detects_outliers=True)


@pytest.fixture(scope="module")
def made(sure: VersionFolder) -> dict[str, VersionFolder]:
    return {kind: make_variant(sure, kind, digits().train.pixels, digits().test) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_the_scores_of_the_version(sure, made, kind):
    """Within the tolerance on its card; hidden layers and the chance that it is no digit as well."""
    pixels = digits().test.pixels
    plain, got = run(sure.onnx, pixels), run(made[kind].onnx, pixels)
    assert list(got) == list(plain)
    for name in (SCORES, NOT_A_DIGIT):
        assert 0 < np.abs(got[name] - plain[name]).max() <= TOLERANCE[kind]
    assert np.abs(got["hidden_1"] - plain["hidden_1"]).max() < 0.05 * plain["hidden_1"].max()
    for name, values in got.items():
        assert (values.dtype, values.shape) == (plain[name].dtype, plain[name].shape)
    _, card = read_version(made[kind])
    where = ["CPUExecutionProvider"] if kind == "int8" else ["CPUExecutionProvider", "CUDAExecutionProvider"]
    assert (card.variant, card.tolerance) == (kind, dict.fromkeys(where, TOLERANCE[kind]))
    right = got[LABEL] == digits().test.labels
    assert card.accuracy == right.mean()
    assert card.thresholds == read_version(sure)[1].thresholds


def test_its_numbers_are_small(sure, made):
    """Whole numbers of 7 bits, or float16; the file is a quarter, or half, as large for its weights."""
    for kind, dtype in (("int8", np.int8), ("fp16", np.float16)):
        tensors = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(made[kind].onnx).graph.initializer}
        weights = [values for name, values in tensors.items() if ".weights_" in name]
        assert [values.dtype for values in weights] == [dtype] * 2
        if kind == "int8":
            assert [np.abs(values).max(axis=0).tolist() for values in weights] == [[63] * 24, [63] * 10]
    operators = [node.op_type for node in onnx.load(made["int8"].onnx).graph.node]
    assert operators.count("MatMulInteger") == 2
    assert {node.domain for node in onnx.load(made["int8"].onnx).graph.node} == {""}  # any runtime has them


@pytest.mark.parametrize("kind", KINDS)
def test_its_layers_can_be_looked_into(sure, made, kind):
    """The weights are nearly the version's, and with the biases they give what the variant's layers hold."""
    model, card = read_version(sure)
    small, small_card = read_version(made[kind])
    for layer in (1, 2):
        plain, got = read_layer(model, card, 0, layer), read_layer(small, small_card, 0, layer)
        scale = np.abs(plain.weights).max(axis=0)
        assert (np.abs(got.weights - plain.weights) <= scale / (120 if kind == "int8" else 1000)).all()
        assert got.activation == plain.activation
    first = read_layer(small, small_card, 0, 1, np.float64)
    pixels = digits().test.pixels
    values = np.maximum(scale_pixels(pixels, **SCALE) @ first.weights + first.biases, 0)
    np.testing.assert_allclose(run(made[kind].onnx, pixels)["hidden_1"], values, atol=1e-4 if kind == "int8" else 0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("classes", [range(5), ["no", "yes"], [7, -3, 100]], ids=["five", "two", "signed"])
def test_any_network_may_have_one(make_stranger, tmp_path, monkeypatch, kind, activation, classes):
    """Every activation, one output neuron, labels that do not count from 0, several networks."""
    monkeypatch.setattr(variants, "TOLERANCE", {"int8": 0.2, "fp16": 0.02})
    monkeypatch.setattr(variants, "MAX_ACCURACY_LOSS", 0.1)
    strangers = [make_stranger(list(classes), activation=activation, seed=seed) for seed in (1, 2)]
    first = strangers[0]
    folder = export([each.classifier for each in strangers], first.pixels, first.labels, first.description, tmp_path)
    test = replace(digits().test, pixels=first.pixels, labels=np.searchsorted(sorted(classes), first.labels))
    there = make_variant(folder, kind, first.pixels, test)
    plain, got = run(folder.onnx, first.pixels), run(there.onnx, first.pixels)
    assert np.abs(got[SCORES] - plain[SCORES]).max() <= variants.TOLERANCE[kind]
    for name in ("hidden_1", "hidden_3", "hidden_6"):
        reach = np.abs(plain[name]).max()
        assert np.abs(got[name] - plain[name]).max() < 0.1 * reach
    _, card = read_version(there)
    right = np.array(card.labels)[test.labels] == got[LABEL]
    assert card.accuracy == right.mean() == np.trace(card.confusion) / 240


def test_values_beyond_what_was_seen_count_as_the_greatest(sure, tmp_path):
    """Ranges come from the images that are given; all else is bounded by them."""
    blank = np.zeros((3, 64), np.uint8)
    with pytest.raises(ExportError, match=r"int8 of sure version 1 is refused: a score differs by .*than 0\.1"):
        make_variant(sure, "int8", blank, digits().test)


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_right_less_often_is_refused(sure, made, monkeypatch, kind):
    """By more than 0.05 % of the images; what stood there stays."""
    there = made[kind].onnx
    before = there.read_bytes()
    _, card = read_version(sure)
    monkeypatch.setattr(variants, "read_version", lambda folder: (folder.read_onnx(), replace(card, accuracy=0.999)))
    with pytest.raises(ExportError, match=r"is refused: \d\d\.\d\d% right, and the version itself has 99\.90%"):
        make_variant(sure, kind, digits().train.pixels, digits().test)
    assert there.read_bytes() == before


def test_the_same_version_gives_the_same_bytes(sure, made):
    """And no half of a file is ever under its name."""
    for kind in KINDS:
        before = made[kind].onnx.read_bytes()
        make_variant(sure, kind, digits().train.pixels, digits().test)
        assert made[kind].onnx.read_bytes() == before
    assert not [path.name for path in sure.path.iterdir() if path.name.startswith(".")]


def quantize(*arguments: object) -> tuple[int, str]:
    from cli.main import build

    result = CliRunner().invoke(build(["quantize"]), ["quantize", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_command(sure, make_stranger, tmp_path):
    """By the data set on the card, or by test data that are given; one sentence for what cannot be."""
    models = tmp_path / "models"
    code, text = quantize("sure:1", "--to", "fp16", "--models", sure.models)
    assert (code, "model.fp16.onnx written: " in text) == (0, True)
    stranger = make_stranger()
    data = tmp_path / "data.npz"
    np.savez(data, pixels=stranger.pixels.reshape(-1, 12, 9), labels=stranger.labels)
    description = replace(stranger.description, dataset_sha256=data_sha256(stranger.pixels, stranger.labels))
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, description, models)
    assert quantize("stranger", "--models", models)[1].endswith(
        "was made from 'templates'; say --test-data, what it was made from\n"
    )
    assert quantize("stranger", "--to", "fp16", "--models", models, "--test-data", data)[0] == 0
    assert replace(folder, variant="fp16").onnx.exists()
    np.savez(data, pixels=stranger.pixels[:100], labels=stranger.labels[:100])
    told = ("stranger", "--models", models, "--test-data", data)
    for labels in (stranger.labels[:100], np.roll(stranger.labels, 1)):
        np.savez(data, pixels=stranger.pixels[: len(labels)], labels=labels)
        assert "is not what stranger version 3 was exported with" in quantize(*told)[1]
    np.savez(data, pixels=stranger.pixels.reshape(-1, 9, 12), labels=stranger.labels)
    assert "has pixels of shape [240, 9, 12] and 240 labels, expected 12×9 each and as many" in quantize(*told)[1]
    np.savez(data, pixels=stranger.pixels, labels=3)
    assert "labels have the shape []" in quantize(*told)[1]
    moved = folder.path.with_name("4")
    folder.path.rename(moved)
    assert "says it is stranger version 3, which its folder does not" in quantize("stranger:4", "--models", models)[1]
    moved.rename(folder.path)
    variant = replace(folder, variant="fp16").onnx.read_bytes()
    folder.onnx.write_bytes(variant)
    assert "says its variant is 'fp16', expected ''" in quantize("stranger", "--models", models)[1]
    folder.onnx.write_bytes(b"no model")
    for arguments, sentence in (
        (("stranger", "--models", models), "is no model with a card"),
        (("stranger:2", "--models", models), "there is no model 'stranger:2' in"),
        (("stranger", "--models", tmp_path / "none"), "does not exist"),
    ):
        code, text = quantize(*arguments)
        assert (code, sentence in text, text.count("\n")) == (1, True, 1)


@pytest.mark.parametrize(
    ("classes", "names"),
    [([1.0, 3.0], None), ([False, True], None), ([4, 6], ("four", "six")), (["no", "yes"], None), ([2, 5], None)],
    ids=["floats", "truths", "named", "words", "numbers"],
)
def test_test_data_are_known_again(make_stranger, tmp_path, classes, names):
    """What a version was exported with makes its variant, whatever its classes are and are called."""
    stranger = make_stranger(classes)
    data = tmp_path / "data.npz"
    np.savez(data, pixels=stranger.pixels, labels=stranger.labels)
    skops.io.dump(stranger.classifier, tmp_path / "stranger.skops")
    options = ExportOptions(rows=12, cols=9, pixel_max=200, pixel_offset=20.0, classes=names)
    folder, card = import_classifier(tmp_path / "stranger.skops", data, options, tmp_path / "models")
    made = add_variant(folder, "fp16", test_data=data)
    assert (made.accuracy, made.classes, made.variant) == (card.accuracy, card.classes, "fp16")


def test_a_model_trained_on_a_folder_of_images(tmp_path):
    """That folder makes its variant, no other does."""
    part = digits().train[:200]
    for place, (pixels, label) in enumerate(zip(part.pixels, part.labels.tolist(), strict=True)):
        for folder in ("own", "other") if place % 10 or place < 100 else ("own",):
            (tmp_path / folder / str(label)).mkdir(parents=True, exist_ok=True)
            shade = Image.fromarray((pixels.reshape(8, 8) * 15).astype(np.uint8))
            shade.save(tmp_path / folder / str(label) / f"{place:03}.png")
    recipe = replace(find("digits-8x8")[0], name="own", hidden=(6, 5), epochs=2)
    [folder] = train_all([recipe], tmp_path / "models", images=tmp_path / "own")
    assert add_variant(folder, "fp16", test_data=tmp_path / "own").test_rows == 50
    with pytest.raises(ExportError, match="other is not what own version 1 was trained on"):
        add_variant(folder, "fp16", test_data=tmp_path / "other")


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_without_hidden_layers_has_them_too(make_stranger, tmp_path, monkeypatch, kind):
    """Nothing has to be found out beforehand: pixels are whole numbers."""
    monkeypatch.setattr(variants, "MAX_ACCURACY_LOSS", 0.1)
    stranger = make_stranger(hidden=())
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    there = make_variant(folder, kind, stranger.pixels, Part(stranger.pixels, stranger.labels))
    assert np.abs(run(there.onnx, stranger.pixels)[SCORES] - run(folder.onnx, stranger.pixels)[SCORES]).max() < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_number_is_refused(sure, tmp_path, kind):
    """A chance that is NaN differs from every other."""
    shutil.copytree(sure.path, tmp_path / "sure" / "1")
    spoiled = replace(sure, models=tmp_path)
    model = onnx.load(spoiled.onnx)
    for tensor in model.graph.initializer:
        if tensor.name == DETECTOR_BIAS:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(np.nan, np.float32), tensor.name))
    onnx.save(model, spoiled.onnx)
    with pytest.raises(ExportError, match="a score differs by nan"):
        make_variant(spoiled, kind, digits().train.pixels, digits().test)


def test_several_may_be_made_at_once(sure, tmp_path: Path):
    """Each is written beside under a name of its own, and put in place in one step; nothing stays behind."""
    shutil.copytree(sure.path, tmp_path / "sure" / "1")
    folder = replace(sure, models=tmp_path)
    names = set()
    plain = Path.replace

    def put(path: Path, target: Path) -> Path:
        names.add(path.name)
        assert not path.name.startswith("model")
        return plain(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", put)
        for _ in range(2):
            make_variant(folder, "fp16", digits().train.pixels, digits().test)
    assert len(names) == 2
    (folder.path / "model.int8.onnx").unlink(missing_ok=True)
    (folder.path / "model.int8.onnx").mkdir()
    with pytest.raises(ExportError, match=r"model\.int8\.onnx cannot be written: Is a directory"):
        make_variant(folder, "int8", digits().train.pixels, digits().test)
    assert not [path.name for path in folder.path.iterdir() if path.name.startswith(".")]
