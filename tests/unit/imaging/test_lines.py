"""Rules and grids are taken off and strokes are kept."""

import numpy as np
import pytest

from imaging.lines import without_lines
from tests.unit.imaging.pictures import SIDE, ruled, seven


def ink(grey: np.ndarray) -> np.ndarray:
    return (1 - grey).astype(np.float32)


def lost(picture: np.ndarray) -> float:
    """The share of the digit's ink that is gone."""
    digit = ink(seven()) > 0.5
    return float((picture[digit] == 0).mean())


@pytest.mark.parametrize("lean", [0.0, 0.06, -0.1])
@pytest.mark.parametrize("turned", [False, True])
def test_lines_that_lean_a_little_are_taken_off(lean: float, turned: bool):
    """Lines across or down, leaning up to six degrees, go; the digit that they cross stays."""
    picture = ruled(seven().T, step=60, lean=lean).T if turned else ruled(seven(), step=60, lean=lean)
    rest, found = without_lines(ink(picture))
    assert found
    paper = seven() > 0.5
    assert rest[paper].sum() < 0.1 * ink(picture)[paper].sum()
    assert lost(rest) < 0.1


def test_a_frame_near_the_border_is_taken_off():
    """A thick frame as of a cell of a grid."""
    picture = seven()
    for lines in (picture[4:12], picture[-12:-4], picture[:, 4:12], picture[:, -12:-4]):
        lines[:] = 0
    rest, found = without_lines(ink(picture))
    assert found
    assert rest[:20].sum() + rest[:, :20].sum() < 50
    assert lost(rest) < 0.05


@pytest.mark.parametrize("crop", [(slice(34, 166), slice(54, 146)), (slice(30, 165), slice(56, 144))])
def test_the_bar_of_a_digit_that_fills_the_picture_is_no_line(crop: tuple[slice, slice]):
    """The bar of a 7 goes from border to border once the picture is cut to the digit."""
    tight = ink(seven()[crop])
    rest, found = without_lines(tight)
    assert not found
    assert rest is tight


def test_a_stroke_that_stops_short_of_the_border_is_no_line():
    """A bar over two thirds of the picture is a stroke."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    picture[95:101, 30:170] = 1
    assert not without_lines(picture)[1]


def test_small_pictures_have_no_lines():
    """What was made for a model keeps all its strokes."""
    picture = np.zeros((28, 28), np.float32)
    picture[14] = 1
    assert without_lines(picture) == (picture, False)
