"""The committed models are what their cards say."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from artifact.card import CARD_KEY, Card
from artifact.names import INPUT
from artifact.store import VersionFolder, find_versions
from tests.unit.training.running import run
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

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "models"
MNIST = ROOT / "tests" / "data" / "mnist"
LEAST_ACCURACY = {
    "digits-8x8:1": 0.98,
    "mnist-16x16:1": 0.955,
    "mnist-16x16:2": 0.96,
    "mnist-256x128:1": 0.99,
    "mnist-large:1": 0.99,
    "mnist-committee:1": 0.99,
}


# Recipes whose versions are not trained yet.
AWAITED = {"mnist-16x16:3", "mnist-16x16:4", "mnist-large:2", "mnist-committee:2"}


@pytest.fixture(params=[recipe.key for recipe in RECIPES if recipe.key not in AWAITED])
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


def held_out(card: Card):
    return held_out_digits() if card.dataset == "digits" else read_part(MNIST, "t10k")


def test_every_recipe_has_its_model():
    """The committed versions are those that the recipes make, but for the awaited ones."""
    found = {f"{folder.name}:{folder.version}" for folder in find_versions(MODELS)}
    assert found == set(LEAST_ACCURACY)
    assert sorted(found | AWAITED) == sorted(recipe.key for recipe in RECIPES)
    assert not found & AWAITED


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


def test_test_set_gives_the_card_s_figures(folder, card, session):
    """All held-out images give exactly the accuracy and the confusion matrix on the card.

    As many of them as asked for have their class among the candidates; networks without calibration promise none.
    """
    part = held_out(card)
    labels, scores = session.run(["label", "scores"], {INPUT: part.pixels})
    result = evaluate(part.labels, labels, classes=10)
    assert result.confusion == card.confusion
    assert result.accuracy == card.accuracy >= LEAST_ACCURACY[f"{folder.name}:{folder.version}"]
    assert card.test_rows == len(part)
    np.testing.assert_array_equal(labels, scores.argmax(axis=1))
    assert bool(card.thresholds) == ("member_seeds" in card.recipe)
    if card.thresholds:
        found = evaluate_sets(scores, part.labels, card.thresholds, 0.99)
        assert found.covered == pytest.approx(0.99, abs=0.003)


def test_golden_rows_reproduce(folder, card, session):
    """The golden rows are held-out images, and give scikit-learn's scores within the card's tolerance."""
    golden = folder.read_golden()
    assert golden.pixels.shape == (64, card.features)
    labels, scores = session.run(["label", "scores"], {INPUT: golden.pixels})
    assert np.abs(scores - golden.scores).max() <= card.tolerance["CPUExecutionProvider"]
    np.testing.assert_array_equal(labels, golden.labels)
    known = {row.tobytes() for row in held_out(card).pixels}
    assert all(row.tobytes() in known for row in golden.pixels)


def test_the_classifier_beside_the_model_gives_its_scores(folder, card, session):
    """model.skops is the fitted classifier itself: the model is made of it to the byte, and gives its scores."""
    file = folder.path / "model.skops"
    assert file.exists() == (card.members == 1 and card.parameters < 1_000_000)
    if not file.exists():
        return
    classifier = read_fitted(file)
    model = folder.onnx.read_bytes()
    assert build_graph([classifier], card, read_detector(model, card)) == model
    part = held_out(card)
    inputs = scale_pixels(part.pixels, pixel_scale=card.pixel_scale, pixel_offset=card.pixel_offset)
    [scores] = session.run(["scores"], {INPUT: part.pixels})
    np.testing.assert_allclose(scores, classifier.predict_proba(inputs), atol=1e-5, rtol=0)
    parameters = [*classifier.coefs_, *classifier.intercepts_]
    assert sum(array.size for array in parameters) == card.parameters


def test_taken_apart_and_assembled_again_it_is_the_same(folder, card):
    """The networks that come out of model.onnx make the same file, byte for byte."""
    model = folder.onnx.read_bytes()
    assert build_graph(read_members(model, card), card, read_detector(model, card)) == model


COMMITTED_VARIANTS = {("mnist-large", 1, "int8"), ("mnist-committee", 1, "int8")}


def test_the_committed_variants_are_these():
    """The others are made where they are wanted."""
    found = set()
    for file in MODELS.glob("*/*/model.*.onnx"):
        found.add((file.parts[-3], int(file.parts[-2]), file.name.split(".")[1]))
    assert found == COMMITTED_VARIANTS


@pytest.mark.parametrize(("name", "version"), [("mnist-large", 1), ("mnist-committee", 1)])
def test_all_test_images_through_the_variants(name, version, tmp_path):
    """No score is further from the version's own than the variant's card allows, nor is the accuracy."""
    folder = VersionFolder(MODELS, name, version)
    model, card = read_version(folder)
    part = read_part(MNIST, "t10k")
    plain = run(model, part.pixels)
    for kind in ("int8", "fp16"):
        there = replace(folder, variant=kind)
        if (name, version, kind) not in COMMITTED_VARIANTS:  # making one runs all images, so the first are enough
            shutil.copytree(folder.path, tmp_path / name / str(version))
            there = make_variant(replace(folder, models=tmp_path), kind, part.pixels, part)
            part = part[:1000]
        small, small_card = read_version(there)
        got, rows = run(small, part.pixels), len(part)
        assert np.abs(got["scores"] - plain["scores"][:rows]).max() <= small_card.tolerance["CPUExecutionProvider"]
        assert small_card.tolerance["CPUExecutionProvider"] <= 0.1
        result = evaluate(part.labels, got["label"], classes=10)
        if rows == card.test_rows:
            assert (result.confusion, result.accuracy) == (small_card.confusion, small_card.accuracy)
        assert small_card.accuracy >= card.accuracy - 0.0005
        if card.detects_outliers:
            apart = np.abs(got["not_a_digit"] - plain["not_a_digit"][:rows]).max()
            assert apart <= small_card.tolerance["CPUExecutionProvider"]


def test_report_shows_its_pictures(folder):
    """Every picture that report.md shows lies beside it."""
    page = (folder.report / "report.md").read_text()
    for picture in ("confusion.png", "loss.png", "mistakes.png", "weights.png"):
        assert f"({picture})" in page
        assert (folder.report / picture).read_bytes().startswith(b"\x89PNG")
