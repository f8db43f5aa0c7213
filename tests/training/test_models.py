"""The committed models are what their cards say."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from artifact.card import CARD_KEY, Card
from artifact.layout import INPUT, VersionFolder, find_versions
from training.datasets import held_out_digits
from training.evaluate import evaluate
from training.fitted_file import read_fitted
from training.graph import build_graph
from training.inputs import scaled
from training.members import read_members
from training.mnist import read_part
from training.recipes import RECIPES, find

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
MNIST = ROOT / "tests" / "data" / "mnist"
LEAST_ACCURACY = {"digits-8x8:1": 0.98, "mnist-16x16:1": 0.955, "mnist-16x16:2": 0.96, "mnist-large:1": 0.99}


@pytest.fixture(params=[recipe.key for recipe in RECIPES])
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
    """The committed versions are those that the recipes make."""
    found = {f"{folder.name}:{folder.version}" for folder in find_versions(MODELS)}
    assert found == {recipe.key for recipe in RECIPES} == set(LEAST_ACCURACY)


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
    """All held-out images give exactly the accuracy and the confusion matrix on the card."""
    part = held_out(card)
    labels, scores = session.run(["label", "scores"], {INPUT: part.pixels})
    result = evaluate(part.labels, labels, classes=10)
    assert result.confusion == card.confusion
    assert result.accuracy == card.accuracy >= LEAST_ACCURACY[f"{folder.name}:{folder.version}"]
    assert card.test_rows == len(part)
    np.testing.assert_array_equal(labels, scores.argmax(axis=1))


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
    if card.members > 1:
        assert not (folder.path / "model.skops").exists()
        return
    classifier = read_fitted(folder.path / "model.skops")
    assert build_graph([classifier], card) == folder.onnx.read_bytes()
    part = held_out(card)
    inputs = scaled(part.pixels, pixel_scale=card.pixel_scale, pixel_offset=card.pixel_offset)
    [scores] = session.run(["scores"], {INPUT: part.pixels})
    np.testing.assert_allclose(scores, classifier.predict_proba(inputs), atol=1e-5, rtol=0)
    parameters = [*classifier.coefs_, *classifier.intercepts_]
    assert sum(array.size for array in parameters) == card.parameters


def test_taken_apart_and_assembled_again_it_is_the_same(folder, card):
    """The networks that come out of model.onnx make the same file, byte for byte."""
    model = folder.onnx.read_bytes()
    assert build_graph(read_members(model, card), card) == model


def test_report_shows_its_pictures(folder):
    """Every picture that report.md shows lies beside it."""
    page = (folder.report / "report.md").read_text()
    for picture in ("confusion.png", "loss.png", "mistakes.png", "weights.png"):
        assert f"({picture})" in page
        assert (folder.report / picture).read_bytes().startswith(b"\x89PNG")
