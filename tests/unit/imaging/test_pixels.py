"""Raw pixels: errors for what cannot be, warnings for what looks wrong, and silence on real images."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from artifact.card import Card
from imaging.pixels import PixelError, WarningCode, check_range, describe, find_warnings
from tests.support.cards import card


@pytest.fixture(params=["mnist", "digits"])
def real(request: pytest.FixtureRequest) -> tuple[np.ndarray, Card]:
    """Real images and a card that fits them."""
    if request.param == "mnist":
        return request.getfixturevalue("mnist_test")[0], card(28, 28, 255)
    return load_digits().data.astype(np.uint8), card(8, 8, 16)


def test_no_real_image_warns(real: tuple[np.ndarray, Card]):
    """Nothing looks wrong with MNIST's test set and scikit-learn's digits, in one call or one by one."""
    pixels, card = real
    assert find_warnings(pixels, card) == []
    assert [find_warnings(pixels[i : i + 1], card) for i in range(500)] == [[]] * 500


def test_every_inverted_image_warns(real: tuple[np.ndarray, Card]):
    """The negatives of the same images look inverted, each one."""
    pixels, card = real
    negative = (card.pixel_max - pixels).astype(np.uint8)
    found = find_warnings(negative, card)
    assert [row for row, _ in found] == list(range(len(pixels)))
    assert {warning.code for _, warning in found} == {"inverted"}
    assert find_warnings(negative[:1], card) == found[:1]


def test_images_scaled_to_one_warn(real: tuple[np.ndarray, Card]):
    """Pixels of 0 and 1 alone look scaled; the warning names the range that was expected."""
    pixels, card = real
    found = find_warnings((pixels > card.pixel_max // 2).astype(np.uint8), card)
    assert len(found) == len(pixels)
    assert f"expected 0..{card.pixel_max}" in found[0][1].sentence


def test_a_range_of_one_is_not_a_mistake():
    """A model of black and white images has pixels of 0 and 1."""
    pixels = np.zeros((1, 16), np.uint8)
    pixels[0, 5:11] = 1
    assert find_warnings(pixels, card(4, 4, 1)) == []


def test_blank_rows_warn_by_their_number():
    """Only the blank ones among many warn, under their own row."""
    pixels = np.full((5, 64), 0, np.uint8)
    pixels[[0, 2, 3], 30] = 16
    blank = describe(WarningCode.BLANK, 16)
    assert find_warnings(pixels, card(8, 8, 16)) == [(1, blank), (4, blank)]
    assert find_warnings(pixels[1:2], card(8, 8, 16)) == [(0, blank)]


@pytest.mark.parametrize("rows", [1, 5])
def test_a_pixel_above_the_range_is_an_error(rows: int):
    """The error names the first such image, the value, the range and the model."""
    pixels = np.zeros((rows, 64), np.uint8)
    pixels[rows // 2 :, 10] = 17
    with pytest.raises(PixelError, match=rf"image {rows // 2} has a pixel of 17, expected 0\.\.16 for model m"):
        check_range(pixels, card(8, 8, 16))


def test_the_range_itself_is_no_error():
    """Neither its ends, nor any byte where the range is that of a byte, nor an empty batch."""
    check_range(np.array([[0, 16]], np.uint8), card(8, 8, 16))
    check_range(np.array([[0, 255]], np.uint8), card(8, 8, 255))
    check_range(np.zeros((0, 64), np.uint8), card(8, 8, 16))


def test_no_rows_no_warnings():
    """An empty batch is nothing to warn of."""
    assert find_warnings(np.zeros((0, 64), np.uint8), card(8, 8, 16)) == []
