"""Digits are told from images that show none."""

from dataclasses import replace
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from artifact.card import Card
from artifact.names import LABEL, NOT_A_DIGIT, SCORES
from imaging.prepare import place
from tests.unit.training.running import run
from training.data.datasets import digits
from training.data.inputs import scale_pixels
from training.data.letters import printed_letters
from training.data.lines import Crops
from training.data.outliers import FAMILIES, draw_outliers
from training.evaluate.detector import ALL, Detector, areas, detector_curves, fit_detector, last_hidden
from training.export.checks import ExportError
from training.export.export import check_parity, export
from training.export.extract import read_detector, read_members
from training.export.graph import build_graph
from training.recipes import find
from training.train import make_description
from training.variants.variants import make_variant

INPUTS = partial(scale_pixels, pixel_scale=1 / 16, pixel_offset=5.0)
FORM = make_description(find("digits-8x8")[0], digits(), 1, {})
MNIST_FORM = make_description(find("mnist-16x16:1")[0], digits(), 1, {})


@pytest.fixture(scope="module")
def network() -> MLPClassifier:
    data = digits().train[:900]
    return MLPClassifier((24, 16), max_iter=40, random_state=1).fit(INPUTS(data.pixels), data.labels)


@pytest.fixture(scope="module")
def detector(network) -> Detector:
    return fit_detector([network], digits().train[900:], FORM, INPUTS)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_drawn_is_as_digits_are(family: str):
    """In the range and the form of the model; other seeds give other images, the same seed the same ones."""
    first, again, other = (draw_outliers(family, 40, FORM, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=1).mean() > 0.9
    assert (first.shape, first.dtype, first.max()) == ((40, 64), np.uint8, 16)
    if family != "noise":
        assert (first.max(axis=1) > 8).all()
        assert (first.mean(axis=1) < 12).all()


@pytest.mark.parametrize("family", ["letters", "scribbles"])
def test_strokes_lie_where_those_of_digits_do(family: str):
    """In a box of 20×20, the middle of the ink in the middle of 28×28, as in MNIST."""
    form = replace(MNIST_FORM, rows=28, cols=28, pixel_max=255)
    images = draw_outliers(family, 30, form, np.random.default_rng(1)).reshape(-1, 28, 28).astype(float)
    for image in images:
        rows, cols = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert max(np.ptp(rows), np.ptp(cols)) == 19
        mass = image.sum()
        assert image.sum(axis=1) @ np.arange(28) / mass == pytest.approx(14, abs=0.6)
        assert image.sum(axis=0) @ np.arange(28) / mass == pytest.approx(14, abs=0.6)


def test_printed_letters_are_the_alphabet_in_several_typefaces():
    """52 in each; the same letter in another typeface is another image."""
    images = printed_letters(FORM)
    assert len(images) == 5 * 52
    assert len(np.unique(images, axis=0)) > 200
    ink = np.zeros((20, 20), np.float32)
    ink[:, 9:11] = 1
    assert np.abs(images[51 - 14].astype(int) - place(ink, FORM)).max() <= 16  # an l is a stroke


def test_it_tells_them_apart(network, detector):
    """Digits that nothing was fitted on get less than most images of each kind, all of them drawn anew."""
    test = digits().test.pixels
    chances = detector.chances([network], INPUTS(test))
    found = areas(detector_curves(detector, [network], chances, FORM, INPUTS))
    assert list(found) == [ALL, *FAMILIES, "printed letters"]
    assert found[ALL] > 0.85
    assert min(found[family] for family in FAMILIES) > 0.75
    assert np.mean(chances > 0.5) < 0.25


@pytest.fixture(scope="module")
def own(network) -> Detector:
    """A detector with a hidden layer of its own."""
    with patch("training.evaluate.detector._OWN_EACH", 300):
        return fit_detector([network], digits().train[:700], FORM, INPUTS, width=8)


def test_one_with_a_hidden_layer_of_its_own_reads_the_pixels(network, own):
    """It asks no network, and finds most images of each family, drawn anew."""
    test = digits().test.pixels
    chances = own.chances([], INPUTS(test))
    np.testing.assert_array_equal(own.chances([network], INPUTS(test)), chances)
    found = areas(detector_curves(own, [network], chances, FORM, INPUTS))
    assert min(found[family] for family in (ALL, *FAMILIES)) > 0.8


def test_it_learns_from_crops_of_lines(network, own):
    """Mirrored digits, shown as crops without a digit, are less of a digit to it than they were."""
    part = digits().train

    def mirrored(pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(-1, 8, 8).transpose(0, 2, 1).reshape(-1, 64)

    crops = Crops(part[:300], mirrored(part.pixels[300:700]))
    with patch("training.evaluate.detector._OWN_EACH", 300):
        taught = fit_detector([network], part[:700], FORM, INPUTS, width=8, crops=crops)
    shown = INPUTS(mirrored(digits().test.pixels))
    assert taught.chances([], shown).mean() > own.chances([], shown).mean() + 0.2


@pytest.mark.parametrize("kind", ["int8", "fp16"])
def test_variants_keep_a_hidden_layer_of_its_own(network, own, tmp_path, kind: str):
    """The pixels that it reads are whole, whatever a variant makes of the network's."""
    test = digits().test
    folder = export(network, test.pixels, test.labels, FORM, tmp_path, detector=own)
    wanted = own.chances([network], INPUTS(test.pixels))
    np.testing.assert_allclose(run(folder.onnx, test.pixels)[NOT_A_DIGIT], wanted, atol=1e-5)
    variant = make_variant(folder, kind, digits().train.pixels, test)
    np.testing.assert_allclose(run(variant.onnx, test.pixels)[NOT_A_DIGIT], wanted, atol=1e-5)


@pytest.fixture(scope="module")
def own_of_hidden(network) -> Detector:
    """A detector whose own hidden layer reads the network's."""
    with patch("training.evaluate.detector._OWN_EACH", 300):
        return fit_detector([network], digits().train[700:], FORM, INPUTS, width=8, reads_hidden=True)


def test_one_whose_own_layer_reads_the_networks(network, own_of_hidden, tmp_path):
    """It finds most images of each family, the model gives its chances, and it is read back from the model."""
    test = digits().test
    chances = own_of_hidden.chances([network], INPUTS(test.pixels))
    found = areas(detector_curves(own_of_hidden, [network], chances, FORM, INPUTS))
    assert min(found[family] for family in (ALL, *FAMILIES)) > 0.75
    folder = export(network, test.pixels, test.labels, FORM, tmp_path, detector=own_of_hidden)
    np.testing.assert_allclose(run(folder.onnx, test.pixels)[NOT_A_DIGIT], chances, atol=1e-5)
    model = folder.onnx.read_bytes()
    card = Card.from_json(folder.card.read_text())
    assert build_graph(read_members(model, card), card, read_detector(model, card)) == model


def test_it_reads_the_last_hidden_layers_of_all_networks(network):
    """As scikit-learn computes them: the output layer on top of each part gives that network's scores."""
    inputs = INPUTS(digits().test.pixels[:50])
    second = MLPClassifier((5,), activation="logistic", max_iter=3, random_state=2)
    second.fit(inputs, digits().test.labels[:50])
    both = last_hidden([network, second], inputs)
    assert both.shape == (50, 16 + 5)
    for each, hidden in ((network, both[:, :16]), (second, both[:, 16:])):
        values = hidden @ each.coefs_[-1] + each.intercepts_[-1]
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), each.predict_proba(inputs), atol=1e-5)


def test_the_gate_holds_for_it_as_well(network, detector, tmp_path):
    """The model's chances are scikit-learn's within 1e-5, on the card and the receipt too; others are refused."""
    test = digits().test
    folder = export(network, test.pixels, test.labels, FORM, tmp_path, detector=detector)
    got = run(folder.onnx, test.pixels)
    chances = detector.chances([network], INPUTS(test.pixels))
    np.testing.assert_allclose(got[NOT_A_DIGIT], chances, atol=1e-5)
    golden = folder.read_golden()
    assert golden.not_a_digit is not None
    np.testing.assert_allclose(run(folder.onnx, golden.pixels)[NOT_A_DIGIT], golden.not_a_digit, atol=1e-5)
    model = folder.onnx.read_bytes()
    assert check_parity(model, test.pixels, got[SCORES], got[LABEL], chances) <= 1e-5
    with pytest.raises(ExportError, match="parity gate refuses"):
        check_parity(model, test.pixels, got[SCORES], got[LABEL], chances + 2e-5)
    with pytest.raises(ExportError, match="differs from scikit-learn's by nan"):
        check_parity(model, test.pixels, got[SCORES], got[LABEL], chances * np.nan)
