"""One network that learns from several sources: what is held out, what is left out, and what card and report say."""

import dataclasses
import re
from unittest.mock import patch

import numpy as np
import pytest

from artifact.card import Card
from artifact.names import NOT_A_DIGIT
from artifact.snapshots import read_snapshots
from artifact.store import VersionFolder
from cli.commands.train import train as train_command
from imaging.prepare import Form
from tests.unit.training.running import run
from tests.unit.training.test_commands import refused
from tests.unit.training.test_commands import run as run_command
from training.data.dataset import DatasetError
from training.data.datasets import digits, with_sources
from training.data.sources import more_digits
from training.data.sources.more_digits import ATTRIBUTIONS, REAL_LETTERS, SLASHES_AND_DOTS
from training.export.extract import read_detector, read_members
from training.export.graph import build_graph
from training.recipe import RecipeError
from training.recipes import RECIPES, find
from training.train import make_description, train_all

TINY = dataclasses.replace(
    find("digits-8x8")[0],
    name="tiny",
    hidden=(6, 5),
    epochs=3,
    augmentation=None,
    sources=("hwd1000", "semeion"),
    strokes=find("mnist-16x16:4")[0].strokes,
    real_outliers=True,
    detector_width=4,
    lines=6,
    member_seeds=(1,),
    calibration=337,
    snapshots=3,
)


PICTURES = [f"draw_{name}" for name in ("confusion", "curves", "loss", "mistakes", "reliability", "weights")]


def few() -> dict[str, np.ndarray]:
    """Thirty rows of each array."""
    return {name: array[:: len(array) // 30][:30] for name, array in _whole().items()}


_whole = more_digits._read


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory, said) -> VersionFolder:
    """The version that `TINY` makes without the digits of `semeion`."""
    with (
        patch.object(more_digits, "_read", few),
        patch.multiple("training.evaluate.detector", _FIT_EACH=30, _OWN_EACH=30, _JUDGE_EACH=10, printed_letters=blank),
        patch("training.ensemble._LINES_READ", 3),
        patch.multiple("training.report.report", **dict.fromkeys(PICTURES, drawn)),
    ):
        [made] = train_all([TINY], tmp_path_factory.mktemp("people"), without=["semeion"], say=said.append)
    return made


def blank(form: Form) -> np.ndarray:
    return np.zeros((3, form.rows * form.cols), np.uint8)


def drawn(*given: object) -> object:
    """A picture that takes no time."""
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


@pytest.fixture(scope="module")
def card(folder) -> Card:
    return Card.from_json(folder.card.read_text())


def test_the_card_says_whose_digits_it_learned(card):
    """The sources that were learned from, the figures of each, and the attributions of all images of people."""
    assert (card.members, card.dataset, card.dataset_sha256) == (1, "digits", digits().sha256)
    assert card.recipe["sources"] == ["hwd1000"]
    by_source = card.recipe["validation_by_source"]
    assert list(by_source) == ["digits", "hwd1000"]
    assert all(found["images"] > 0 for found in by_source.values())
    right = sum(found["images"] * found["accuracy"] for found in by_source.values())
    images = sum(found["images"] for found in by_source.values())
    assert right / images == pytest.approx(card.recipe["validation_accuracy"], abs=1e-5)
    assert list(card.recipe["left_out_accuracy"]) == ["semeion"]
    assert card.attributions == (ATTRIBUTIONS["bhmsds"], ATTRIBUTIONS["hwd1000"])  # the letters are from bhmsds
    assert card.temperature is not None
    assert len(card.thresholds) > 0


def test_a_source_that_was_left_out_is_said_and_evaluated(folder, card, said):
    """The figure on the card is that of the model on these digits, none of which it learned from."""
    with patch.object(more_digits, "_read", few):
        dataset = with_sources(digits(), TINY.sources, make_description(TINY, digits(), 1, {}), without=["semeion"])
    part = dataset.left_out["semeion"]
    found = np.mean(run(folder.onnx, part.pixels)["label"] == part.labels)
    assert card.recipe["left_out_accuracy"]["semeion"] == pytest.approx(found, abs=1e-6)
    assert "semeion: 30 digits left out" in said
    assert f"tiny:1: {found:.2%} of the digits of semeion right, none of which it learned from" in said
    assert "tiny:1: 1377 images to learn from, 450 to be judged by" in said


def test_digits_cut_out_of_lines_are_learned_too(card, said):
    """They are many times as many as the lines, of which the recipe on the card speaks."""
    [line] = [each for each in said if "cut out of" in each]
    found = re.fullmatch(r"tiny:1: (\d+) digits cut out of 6 lines to learn from", line)
    assert found
    assert int(found[1]) >= 6
    assert card.recipe["lines"] == 6


def test_the_report_says_how_many_lines_are_read(folder, card):
    """What stands on the card."""
    found = card.recipe["lines_read"]
    assert {kind: each["lines"] for kind, each in found.items()} == {"apart": 3, "touching": 3}
    page = (folder.report / "report.md").read_text()
    for kind, each in found.items():
        assert f"| {kind} | 3 | {each['right'] / 3:.1%} |" in page


def test_the_detector_is_on_the_card_for_real_letters_too(folder, card):
    assert {REAL_LETTERS, SLASHES_AND_DOTS} < card.outlier_auc.keys()
    model = folder.onnx.read_bytes()
    detector = read_detector(model, card)
    assert detector is not None
    assert detector.own is not None
    assert detector.own[0].shape == (64, 4)
    assert build_graph(read_members(model, card), card, detector) == model
    page = (folder.report / "report.md").read_text()
    assert "reads 4 neurons of its own that read the pixels" in page
    assert NOT_A_DIGIT in run(folder.onnx, digits().test.pixels[:2])


def test_the_report_names_sources_and_licences(folder, card):
    page = (folder.report / "report.md").read_text()
    assert (
        "The network learned for 3 epochs from the images of digits, hwd1000 but 345, the same share of each." in page
    )
    assert f"| semeion | {card.recipe['left_out_accuracy']['semeion']:.2%} |" in page
    for attribution in card.attributions:
        assert f"- {attribution}\n" in page
    assert "on no slashes and dots" in page


def test_snapshots_lie_beside_the_model(folder, card):
    """The last one is the network itself, but for the temperature and float16."""
    taken = read_snapshots(folder.snapshots)
    assert taken.epochs.tolist() == [0, 1, 3]
    shown = digits().test.pixels[:50]
    values = (shown - card.pixel_offset) * card.pixel_scale
    for layer, (weights, biases) in enumerate(zip(taken.weights, taken.biases, strict=True)):
        values = values @ weights[-1].astype(float) + biases[-1].astype(float)
        values = np.maximum(values, 0) if layer < 2 else values / card.temperature
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    scores = run(folder.onnx, shown)["scores"]
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), scores, atol=0.01)


def test_unknown_sources_are_named(tmp_path):
    with pytest.raises(DatasetError, match="emnist cannot be left out: its sources are hwd1000, semeion"):
        train_all([TINY], tmp_path, without=["emnist"])
    with pytest.raises(DatasetError, match="hwd1000 cannot be left out: the recipe has no further sources"):
        train_all(find("digits-8x8"), tmp_path, without=["hwd1000"])
    own = ("digits-8x8", "--without", "semeion", "--name", "own", "--out", tmp_path)
    assert "semeion cannot be left out" in refused(run_command(train_command, *own))
    line = refused(run_command(train_command, "mnist-16x16:4", "--without", "semeion", "--out", tmp_path), code=2)
    assert "--without needs --name" in line


def test_sources_and_real_outliers_need_calibration():
    with pytest.raises(RecipeError, match="digits-8x8:1: sources, real_outliers and lines need member_seeds"):
        dataclasses.replace(find("digits-8x8")[0], real_outliers=True)


def test_older_recipes_keep_their_json():
    """Keys that came later are absent where a recipe does not use them."""
    later = {"strokes", "sources", "real_outliers", "detector_width", "snapshots"}
    for recipe in RECIPES:
        assert bool(later & recipe.to_dict().keys()) == bool(recipe.sources)
    assert find("mnist-16x16:4")[0].to_dict()["sources"] == list(ATTRIBUTIONS)
