"""Several networks become one model, and nothing is lost on the way."""

import dataclasses
import json
import signal
from unittest.mock import patch

import numpy as np
import onnx
import pytest
from sklearn.neural_network import MLPClassifier

from artifact.card import CARD_KEY, Card
from artifact.store import VersionFolder
from tests.support.tiny_ensemble import TINY, fit_members, layers_by_hand, train_tiny
from tests.unit.training.fit.cut_off import contents, start_slow, wait_for
from tests.unit.training.running import run
from training.data.dataset import DatasetError
from training.data.datasets import digits
from training.evaluate.calibration import evaluate_calibration
from training.evaluate.conformal import evaluate_sets, find_thresholds
from training.evaluate.evaluate import evaluate
from training.export.checks import Description, ExportError
from training.export.export import export
from training.export.extract import read_detector, read_members
from training.export.graph import build_graph
from training.recipes import find
from training.train import train, train_all


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> VersionFolder:
    """The tiny committee."""
    return train_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def card(folder) -> Card:
    [entry] = onnx.load(folder.onnx).metadata_props
    assert entry.key == CARD_KEY
    return Card.from_json(entry.value)


@pytest.fixture(scope="module")
def members(card, tmp_path_factory) -> list[MLPClassifier]:
    """Its networks, each fitted for itself."""
    return fit_members(tmp_path_factory.mktemp("members"), card.temperature)


def test_scores_are_the_mean_of_the_members_and_hidden_layers_are_theirs(folder, card, members):
    """One graph, its hidden outputs member by member; fitted without the held-out images."""
    pixels = digits().test.pixels
    got = run(folder.onnx, pixels)
    assert list(got) == ["label", "scores", "not_a_digit", *(f"hidden_{number}" for number in range(1, 7))]
    layers = [layers_by_hand(member, pixels) for member in members]
    for number, layer in enumerate((layer for each in layers for layer in each[:-1]), 1):
        np.testing.assert_allclose(got[f"hidden_{number}"], layer, atol=1e-5, rtol=0)
    np.testing.assert_allclose(got["scores"], np.mean([each[-1] for each in layers], axis=0), atol=1e-5, rtol=0)
    np.testing.assert_array_equal(got["label"], got["scores"].argmax(axis=1))
    assert (card.members, card.layer_widths, card.parameters) == (3, (64, 12, 7, 10), 3 * 951)


def test_the_card_has_the_figures_of_the_held_out_images_and_of_the_test_set(folder, card):
    """Accuracy by size of the committee, calibration before and after; the test set's bins and their error."""
    dataset = digits()
    held_out, test = dataset.train[-TINY.calibration :], dataset.test
    scores = run(folder.onnx, held_out.pixels)["scores"]
    found = evaluate_calibration(scores, held_out.labels)
    recipe = card.recipe
    assert (recipe["member_seeds"], recipe["calibration"]) == ([1, 2, 3], 300)
    assert recipe["validation_accuracy"] == pytest.approx(np.mean(scores.argmax(axis=1) == held_out.labels), abs=1e-6)
    assert recipe["validation_accuracy_of_the_first"][-1] == recipe["validation_accuracy"]
    assert recipe["validation_accuracy_of_the_first"][0] == recipe["validation_accuracy_alone"][0]
    assert recipe["validation_log_loss"][1] == pytest.approx(found.log_loss, abs=1e-5)
    before, after = recipe["validation_calibration_error"]
    assert after == pytest.approx(found.error, abs=1e-5)
    assert after < before
    got = run(folder.onnx, test.pixels)
    assert evaluate(test.labels, got["label"], classes=10).confusion == card.confusion
    judged = evaluate_calibration(got["scores"], test.labels)
    assert card.calibration_error == pytest.approx(judged.error, abs=1e-5)
    assert [each.images for each in card.reliability] == [each.images for each in judged.bins]
    assert sum(each.images for each in card.reliability) == card.test_rows == len(test)
    assert card.thresholds == pytest.approx(find_thresholds(scores, held_out.labels), abs=2e-6)


def test_the_report_shows_what_more_networks_bring(folder, card):
    """A line for each size of the committee, the temperature, what the candidates are worth, and how reliable it is."""
    page = (folder.report / "report.md").read_text()
    assert "3 networks, each 64-12-7-10, relu, 2,853 weights and biases" in page
    for size, share in enumerate(card.recipe["validation_accuracy_of_the_first"], 1):
        assert f"| {size} | {share:.2%} |" in page
    assert f"one temperature, {card.temperature:g}" in page
    test = digits().test
    scores = run(folder.onnx, test.pixels)["scores"]
    for coverage in (0.9, 0.95, 0.99, 0.995):
        found = evaluate_sets(scores, test.labels, card.thresholds, coverage)
        assert found.covered == pytest.approx(coverage, abs=0.04)
        assert f"| {coverage:.1%} | {found.covered:.2%} | {found.size:.3f} | {found.empty:.2%} |" in page
    assert "(reliability.png)" in page
    assert (folder.report / "reliability.png").read_bytes().startswith(b"\x89PNG")
    assert "Validation run" not in page
    assert "and also:\n\n- An earlier committee, to see whether it can be drawn.\n" in page
    assert "evaluations" not in card.recipe
    for kind, area in card.outlier_auc.items():
        assert f"| {kind} | {area:.4f} |" in page
    assert (folder.report / "outliers.png").read_bytes().startswith(b"\x89PNG")


def test_members_taken_out_and_assembled_again_give_the_same_bytes(folder, card, tmp_path):
    """The scaling, the temperature and the classes come through; a whole export makes the same model too."""
    model = folder.onnx.read_bytes()
    members, detector = read_members(model, card), read_detector(model, card)
    assert build_graph(members, card, detector) == model
    assert not (folder.path / "model.skops").exists()
    test = digits().test
    about = {name: getattr(card, name) for name in ("name", "version", "rows", "cols", "pixel_max", "preparation")}
    about |= {name: getattr(card, name) for name in ("dataset", "dataset_sha256", "pixel_scale", "pixel_offset")}
    about |= {name: getattr(card, name) for name in ("classes", "recipe", "seed", "temperature", "thresholds")}
    again = export(members, test.pixels, test.labels, Description(**about), tmp_path, detector=detector)
    assert again.onnx.read_bytes() == model


@pytest.mark.parametrize("classes", [range(10), ["no", "yes"], [7, -3, 100]], ids=["ten", "two", "signed"])
def test_strangers_are_assembled_as_well(make_stranger, tmp_path, classes):
    """Any activation, two classes with one output neuron, labels that do not count from 0."""
    strangers = [make_stranger(list(classes), hidden=(5, 4), seed=seed) for seed in (1, 2)]
    first = strangers[0]
    both = [each.classifier for each in strangers]
    folder = export(both, first.pixels, first.labels, first.description, tmp_path)
    got = run(folder.onnx, first.pixels)
    mean = np.mean([each.predict_proba(first.inputs()) for each in both], axis=0)
    np.testing.assert_allclose(got["scores"], mean, atol=1e-5, rtol=0)
    card = Card.from_json(folder.card.read_text())
    assert (card.members, card.temperature, card.reliability) == (2, None, ())
    np.testing.assert_array_equal(got["label"], np.array(card.labels)[mean.argmax(axis=1)])
    members = read_members(folder.onnx.read_bytes(), card)
    assert (read_detector(folder.onnx.read_bytes(), card), card.outlier_auc) == (None, {})
    assert build_graph(members, card) == folder.onnx.read_bytes()
    assert [each.classes_.tolist() for each in members] == [list(card.labels)] * 2


def test_networks_that_do_not_go_together_are_refused(make_stranger, tmp_path):
    """Of other widths, another activation, other classes, or none at all."""
    first = make_stranger(hidden=(5, 4))
    handed = (first.pixels, first.labels, first.description, tmp_path)
    for other, message in (
        (make_stranger(hidden=(5, 3)), "same shapes and the same activation"),
        (make_stranger(hidden=(5, 4), activation="relu"), "same shapes and the same activation"),
        (make_stranger([0, 1, 2, 3, 5], hidden=(5, 4)), "the same classes"),
    ):
        with pytest.raises(ExportError, match=message):
            export([first.classifier, other.classifier], *handed)
    with pytest.raises(ExportError, match="0 classifiers were given"):
        export([], *handed)
    assert not list(tmp_path.rglob("*.*"))


def test_cut_off_in_the_second_network_and_gone_on(tmp_path, folder, capfd):
    """After kill -9 the finished network is not fitted again, the second goes on; the bytes are the same."""
    process = start_slow("tests.support.tiny_ensemble", tmp_path)
    unfinished = tmp_path / ".training" / "tiny-1"
    wait_for(unfinished / "member-2.checkpoint", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with np.load(unfinished / "member-2.checkpoint") as arrays:
        reached = json.loads(str(arrays["meta"]))["epoch"]
    assert 0 < reached < TINY.epochs
    again = train_tiny(tmp_path)
    told = capfd.readouterr().err
    assert "network 1 of 3" not in told
    assert f"tiny:1 network 2 of 3: epoch {reached + 1} of {TINY.epochs}" in told
    assert contents(again.path) == contents(folder.path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_another_seed_means_other_seeds_for_all(tmp_path):
    """The first network gets it, each other one more; the card says so."""
    recipe = dataclasses.replace(TINY, epochs=1)
    with patch("training.ensemble.write_report"):
        [folder] = train_all([recipe], tmp_path, seed=7)
    card = Card.from_json(folder.card.read_text())
    assert (card.seed, card.recipe["seed"], card.recipe["member_seeds"]) == (7, 7, [7, 8, 9])


def test_more_held_out_than_there_is(tmp_path):
    """A recipe that would leave nothing to learn from is refused before anything is fitted."""
    dataset = digits()
    recipe = dataclasses.replace(TINY, calibration=len(dataset.train))
    with pytest.raises(DatasetError, match="tiny:1 holds out 1347 training images, and digits has 1347"):
        train(recipe, dataset, tmp_path, unfinished=tmp_path / "unfinished", seed=1)
    assert not list(tmp_path.iterdir())


def test_what_one_network_is_a_fit_of_does_not_know_of_the_others():
    """So a network that is fitted already serves another committee as well; the recipe itself names all."""
    more = dataclasses.replace(TINY, member_seeds=(3, 9), calibration=100)
    assert (more.to_dict()["member_seeds"], more.to_dict()["calibration"]) == ([3, 9], 100)
    assert TINY.member(3).to_dict() == more.member(3).to_dict()
    assert not {"member_seeds", "calibration"} & TINY.member(3).to_dict().keys()


def test_the_recipe_of_the_committee():
    """Four networks that learn from all training images but the last 5,000; the card will name each seed."""
    for recipe in find("mnist-committee"):
        assert (recipe.member_seeds, recipe.calibration) == ((1, 2, 3, 4), 5000)
        assert recipe.to_dict()["member_seeds"] == [1, 2, 3, 4]
