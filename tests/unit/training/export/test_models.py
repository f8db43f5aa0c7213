"""The committed models are what their cards say."""

import json
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest

from artifact.card import CARD_KEY, Card
from artifact.names import INPUT, main_outputs
from artifact.store import VersionFolder, find_versions
from tests.support.processes import ROOT
from tests.unit.training.running import run
from training.data.dataset import Part
from training.data.datasets import held_out_digits
from training.data.inputs import scale_pixels
from training.data.mnist import read_part
from training.evaluate.conformal import evaluate_sets
from training.evaluate.evaluate import evaluate
from training.export.extract import read_detector, read_members
from training.export.graph import build_graph
from training.export.skops_file import read_fitted
from training.recipes import RECIPES, find
from training.variants.variants import make_variant, read_version

MODELS = ROOT / "models"
MNIST = ROOT / "tests" / "data" / "mnist"
LEAST_ACCURACY = {
    "digits-8x8:1": 0.98,
    "mnist-16x16:1": 0.955,
    "mnist-16x16:2": 0.96,
    "mnist-16x16:3": 0.955,
    "mnist-16x16:4": 0.96,
    "mnist-256x128:2": 0.99,
    "mnist-large:1": 0.99,
    "mnist-committee:2": 0.99,
}


# Recipes whose models are not kept, see docs/explanation/models.md.
NOT_KEPT = {"mnist-1500x1000x500:1"}


@pytest.fixture(params=[recipe.key for recipe in RECIPES if recipe.key not in NOT_KEPT])
def folder(request) -> VersionFolder:
    name, _, version = request.param.partition(":")
    return VersionFolder(MODELS, name, int(version))


@pytest.fixture
def card(folder) -> Card:
    """The card as the server reads it, from the metadata."""
    [entry] = onnx.load(folder.onnx).metadata_props
    assert entry.key == CARD_KEY
    return Card.from_json(entry.value)


@pytest.fixture
def session(folder) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(folder.onnx, providers=["CPUExecutionProvider"])


@cache
def held_out(dataset: str) -> Part:
    return held_out_digits() if dataset == "digits" else read_part(MNIST, "t10k")


@cache
def found(folder: VersionFolder) -> dict[str, np.ndarray]:
    """What the model makes of all held-out images; hidden layers aside."""
    _, card = read_version(folder)
    session = onnxruntime.InferenceSession(folder.onnx, providers=["CPUExecutionProvider"])
    names = list(main_outputs(card))
    return dict(zip(names, session.run(names, {INPUT: held_out(card.dataset).pixels}), strict=True))


def test_every_recipe_has_its_model():
    """The committed versions are those that the recipes make, but for those that are not kept."""
    there = {f"{folder.name}:{folder.version}" for folder in find_versions(MODELS)}
    assert there == set(LEAST_ACCURACY)
    assert sorted(there | NOT_KEPT) == sorted(recipe.key for recipe in RECIPES)
    assert not there & NOT_KEPT


def test_card_says_what_the_recipe_says(folder, card):
    """Shape, scaling, seed and recipe on the card are the recipe's; card.json repeats the card."""
    [recipe] = find(f"{folder.name}:{folder.version}")
    assert card.recipe.items() >= json.loads(json.dumps(recipe.to_dict())).items()
    assert card.seed == recipe.seed
    assert card.members == max(1, len(recipe.member_seeds))
    assert card.layer_widths[1:-1] == recipe.hidden
    assert card.pixel_max == (16 if card.dataset == "digits" else 255)
    assert Card.from_json(folder.card.read_text()) == card
    if card.name == "mnist-16x16":
        assert card.layer_widths == (784, 16, 16, 10)
        assert card.parameters == 13_002


def test_test_set_gives_the_card_s_figures(folder, card):
    """All held-out images give exactly the accuracy and the confusion matrix on the card.

    As many of them as asked for have their class among the candidates, or more where the thresholds are for other
    people's digits as well; networks without calibration promise none.
    """
    part = held_out(card.dataset)
    labels, scores = found(folder)["label"], found(folder)["scores"]
    result = evaluate(part.labels, labels, classes=10)
    assert result.confusion == card.confusion
    assert result.accuracy == card.accuracy >= LEAST_ACCURACY[f"{folder.name}:{folder.version}"]
    assert card.test_rows == len(part)
    np.testing.assert_array_equal(labels, scores.argmax(axis=1))
    assert bool(card.thresholds) == ("member_seeds" in card.recipe)
    if card.thresholds:
        sets = evaluate_sets(scores, part.labels, card.thresholds, 0.99)
        assert 0.987 < sets.covered < (0.998 if card.recipe.get("sources") else 0.993)


def test_golden_rows_reproduce(folder, card, session):
    """The golden rows are held-out images, and give scikit-learn's scores within the card's tolerance."""
    golden = folder.read_golden()
    assert golden.pixels.shape == (64, card.features)
    labels, scores = session.run(["label", "scores"], {INPUT: golden.pixels})
    assert np.abs(scores - golden.scores).max() <= card.tolerance["CPUExecutionProvider"]
    np.testing.assert_array_equal(labels, golden.labels)
    known = {row.tobytes() for row in held_out(card.dataset).pixels}
    assert all(row.tobytes() in known for row in golden.pixels)


def test_the_classifier_beside_the_model_gives_its_scores(folder, card):
    """model.skops is the fitted classifier itself: the model is made of it to the byte, and gives its scores."""
    file = folder.path / "model.skops"
    assert file.exists() == (card.members == 1 and card.parameters < 1_000_000)
    if not file.exists():
        return
    classifier = read_fitted(file)
    model = folder.onnx.read_bytes()
    assert build_graph([classifier], card, read_detector(model, card)) == model
    pixels = held_out(card.dataset).pixels
    inputs = scale_pixels(pixels, pixel_scale=card.pixel_scale, pixel_offset=card.pixel_offset)
    np.testing.assert_allclose(found(folder)["scores"], classifier.predict_proba(inputs), atol=1e-5, rtol=0)
    parameters = [*classifier.coefs_, *classifier.intercepts_]
    assert sum(array.size for array in parameters) == card.parameters


def test_taken_apart_and_assembled_again_it_is_the_same(folder, card):
    """The networks that come out of model.onnx make the same file, byte for byte."""
    model = folder.onnx.read_bytes()
    assert build_graph(read_members(model, card), card, read_detector(model, card)) == model


COMMITTED_VARIANTS = {("mnist-large", 1, "int8"), ("mnist-committee", 2, "int8")}


def test_the_committed_variants_are_these():
    """The others are made where they are wanted."""
    there = set()
    for file in MODELS.glob("*/*/model.*.onnx"):
        there.add((file.parts[-3], int(file.parts[-2]), file.name.split(".")[1]))
    assert there == COMMITTED_VARIANTS


@pytest.mark.parametrize(("name", "version", "kind"), sorted(COMMITTED_VARIANTS))
def test_all_test_images_through_the_variants(name, version, kind):
    """No score is further from the version's own than the variant's card allows, nor is the accuracy."""
    plain, got = (found(VersionFolder(MODELS, name, version, variant)) for variant in ("", kind))
    part = held_out("mnist")
    small = close(VersionFolder(MODELS, name, version, kind), plain, got)
    result = evaluate(part.labels, got["label"], classes=10)
    assert (result.confusion, result.accuracy) == (small.confusion, small.accuracy)
    _, card = read_version(VersionFolder(MODELS, name, version))
    assert small.accuracy >= card.accuracy - 0.0005


@pytest.mark.parametrize(("name", "version"), [("mnist-large", 1), ("mnist-committee", 2)])
def test_another_variant_can_be_made_of_them(name, version, tmp_path, monkeypatch):
    """Held against the version on the first thousand test images: all take long, and whoever makes one takes all."""
    folder = VersionFolder(MODELS, name, version)
    model, card = read_version(folder)
    part = held_out("mnist")[:1000]
    plain = {output: values[:1000] for output, values in found(folder).items()}
    card = replace(card, accuracy=np.mean(plain["label"] == part.labels))
    shutil.copytree(folder.path, tmp_path / name / str(version))
    with monkeypatch.context() as patch:
        patch.setattr("training.variants.variants.read_version", lambda _: (model, card))
        there = make_variant(replace(folder, models=tmp_path), "fp16", part.pixels, part)
    small = close(there, plain, run(there.onnx, part.pixels))
    assert small.accuracy >= card.accuracy - 0.0005


def close(variant: VersionFolder, plain: dict[str, np.ndarray], got: dict[str, np.ndarray]) -> Card:
    """The card of the variant, once the scores are within the tolerance on it, and that within 0.1."""
    _, card = read_version(variant)
    allowed = card.tolerance["CPUExecutionProvider"]
    assert allowed <= 0.1
    assert np.abs(got["scores"] - plain["scores"]).max() <= allowed
    if card.detects_outliers:
        assert np.abs(got["not_a_digit"] - plain["not_a_digit"]).max() <= allowed
    return card


def test_report_shows_its_pictures(folder):
    """Every picture that report.md shows lies beside it."""
    page = (folder.report / "report.md").read_text()
    for picture in ("confusion.png", "loss.png", "mistakes.png", "weights.png"):
        assert f"({picture})" in page
        assert (folder.report / picture).read_bytes().startswith(b"\x89PNG")
