"""Ink is found on any ground, and what else there was is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imaging.ground import closing, departures, ink_is_bright, without_salt
from imaging.ink import crop, find_ink
from imaging.pixels import WarningCode
from imaging.prepare import prepare_grey
from tests.support.cards import card
from tests.unit.imaging.pictures import SIDE, grain, ruled, seven


def codes(grey: np.ndarray) -> set[str]:
    return {warning.code for warning in prepare_grey(grey, card()).warnings}


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference of the pixels that two pictures become."""
    pair = [prepare_grey(each, card()).pixels.astype(int) for each in (first, second)]
    return float(np.abs(pair[0] - pair[1]).mean())


def shadow(softness: float) -> np.ndarray:
    """Light [SIDE, SIDE] that falls to 0.4 along a slanted edge."""
    rows, cols = np.indices((SIDE, SIDE)) / SIDE
    return (0.4 + 0.6 / (1 + np.exp(-(rows + 0.4 * cols - 0.7) / softness))).astype(np.float32)


@pytest.mark.parametrize("softness", [0.01, 0.1])
def test_light_is_not_ink(softness: float):
    """A shadow's edge across the digit, sharp or soft, leaves the digit as it is; so does a plain slope of light."""
    assert difference(seven(), seven() * shadow(softness)) < 8
    slope = np.linspace(0.4, 1, SIDE, dtype=np.float32)
    assert difference(seven(), seven() * slope) < 8


@pytest.mark.parametrize("softness", [0.01, 0.1])
def test_a_photo_of_blank_paper_is_blank(softness: float):
    """Grain, a slope of light and a shadow are no ink: blank, and no pixels."""
    paper = grain((SIDE, SIDE), 0.01)
    for picture in (paper, paper * shadow(softness), paper * np.linspace(0.6, 1, SIDE, dtype=np.float32)):
        prepared = prepare_grey(picture, card())
        assert [warning.code for warning in prepared.warnings] == ["blank"]
        assert not prepared.pixels.any()


def test_what_has_no_edges_is_no_ink():
    """A stain or a shadow that fades on all sides is not a stroke, however dark."""
    rows, cols = (np.indices((SIDE, SIDE)) - SIDE / 2) / SIDE
    stain = 1 - 0.8 * np.exp(-(rows**2 + cols**2) / 0.03)
    assert codes(stain.astype(np.float32)) == {"blank"}


def test_ruled_and_squared_paper_without_a_digit_is_blank():
    """Lines alone are no digit."""
    paper = ruled(grain((SIDE, SIDE), 0.01), step=50)
    squared = ruled(paper.T, step=50)
    assert codes(paper) == codes(squared) == {"blank"}


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.45])
def test_ink_is_told_from_its_ground_by_the_whole_picture(scale: float):
    """Ink on more or less paper, even where it comes near the border, is dark; in the negative it is bright."""
    picture = seven(scale=scale)
    assert not ink_is_bright(picture)
    assert ink_is_bright(1 - picture)
    assert difference(picture, 1 - picture) < 8


def test_salt_is_taken_off_where_it_is_much():
    """Two of a hundred pixels black or white: the median takes them off. One dot is left where it is."""
    random = np.random.default_rng(0)
    salted = np.where(random.random((SIDE, SIDE)) < 0.02, random.integers(0, 2, (SIDE, SIDE)), seven())
    assert np.abs(without_salt(salted.astype(np.float32)) - seven()).mean() < 0.01
    assert difference(seven(), salted.astype(np.float32)) < 8
    dotted = seven()
    dotted[150, 150] = 0
    assert without_salt(dotted) is dotted


def test_closing_fills_what_is_narrower_than_its_window():
    """A dark bar narrower than the window goes, a wider one stays."""
    grey = np.ones((40, 40), np.float32)
    grey[:, 10:14] = 0
    assert (closing(grey, 7) == 1).all()
    assert np.array_equal(closing(grey, 3), grey)


def test_departures_are_a_part_of_the_ground():
    """Ink of half the paper's light departs by half, in the light as in the shadow."""
    paper = np.full((SIDE, SIDE), 0.9, np.float32)
    paper[:, SIDE // 2 :] = 0.45
    ink = paper.copy()
    ink[90:100] *= 0.5
    departure, _ = departures(ink, bright=False)
    assert departure[95, [20, 180]] == pytest.approx([0.5, 0.5], abs=0.02)
    assert departure[50, [20, SIDE // 2 - 2, SIDE // 2 + 2, 180]] == pytest.approx([0] * 4, abs=0.02)


def test_each_code_is_said_when_it_is_seen():
    """Nothing of a plain digit; lines, two digits, a cut digit and faint ink by their codes."""
    assert codes(seven()) == set()
    assert codes(ruled(seven(), step=60)) == {WarningCode.LINES_REMOVED}
    assert codes(np.concatenate([seven(), seven()], axis=1)[:, 40:-40]) == {WarningCode.SEVERAL_MARKS}
    assert codes(seven()[70:]) == {WarningCode.TOUCHES_BORDER}
    assert codes(0.7 + 0.08 * seven()) == {WarningCode.LOW_CONTRAST}


def test_a_tight_crop_cuts_nothing():
    """The bend of a round digit that just reaches the borders is whole; a third of the ring taken off is missing."""
    rows, cols = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    ring = (np.abs(np.hypot(rows, cols) - 80) > 8).astype(np.float32)
    assert codes(ring[12:-12, 12:-12]) == set()
    assert codes(ring[60:, 12:-12]) == {WarningCode.TOUCHES_BORDER}


def test_a_small_digit_on_a_large_sheet_is_seen_from_near():
    """A digit of a tenth of the picture keeps the detail that it has in the whole picture."""
    sheet = np.ones((1000, 1000), np.float32)
    sheet[600:800, 300:500] = seven(scale=0.5)
    found = find_ink(sheet)
    assert found.ink is not None
    assert max(found.ink.shape) <= 256
    assert crop(found.ink).shape[0] > 55
    assert difference(sheet, seven(scale=0.5)) < 8


SHADES = st.floats(0, 1, width=32)


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)).flatmap(lambda shape: arrays(np.float32, shape, elements=SHADES))
)
def test_any_picture_becomes_pixels(grey: np.ndarray):
    """Whatever the shape and the shades: pixels in range, blank where there are none, the picture unchanged."""
    before = grey.copy()
    prepared = prepare_grey(grey, card())
    assert prepared.pixels.shape == (784,)
    assert prepared.pixels.dtype == np.uint8
    assert prepared.pixels.any() == ("blank" not in [warning.code for warning in prepared.warnings])
    assert np.array_equal(grey, before)


@settings(max_examples=60, deadline=None)
@given(st.integers(40, 400), st.integers(40, 400), st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.2, 0.5, 0.9]))
def test_any_noise_becomes_pixels(height: int, width: int, seed: int, share: float):
    """Black and white noise of any density is taken in like any other picture, at no more than 256 pixels a side."""
    noise = (np.random.default_rng(seed).random((height, width)) < share).astype(np.float32)
    found = find_ink(noise)
    assert found.ink is None or max(found.ink.shape) <= 256
    assert prepare_grey(noise, card()).pixels.shape == (784,)
