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


@pytest.mark.parametrize("rows", [slice(34, 166), slice(10, 190)])
@pytest.mark.parametrize("cols", [slice(54, 146), slice(56, 144)])
def test_the_bar_of_a_7_that_fills_the_picture_is_no_line(rows: slice, cols: slice):
    """It goes from border to border, and a stroke sets off from its end."""
    crop = rows, cols
    tight = ink(seven()[crop])
    rest, found = without_lines(tight)
    assert not found
    assert rest is tight


def test_a_bar_across_a_stroke_that_fills_the_picture_is_no_line():
    """The stroke goes from the upper border to the lower one, as in a 4."""
    rows, cols = np.indices((SIDE, SIDE))
    picture = (np.abs(cols + rows // 4 - 130) < 8).astype(np.float32)
    picture[100:106] = 1
    rest, found = without_lines(picture)
    assert not found
    assert rest is picture


def test_the_stem_of_a_crossed_stroke_is_no_line():
    """It goes from border to border, as that of a crossed 7 in a narrow cell; what is left of it lies flat."""
    rows, cols = np.indices((SIDE, SIDE))
    picture = (np.abs(cols + rows // 10 - 120) < 6).astype(np.float32)
    picture[110:122, 70:160] = 1
    assert not without_lines(picture)[1]


def test_a_line_beside_a_digit_that_is_cut_by_two_borders_is_taken_off():
    """The line does not touch the digit, so it is no stroke of it."""
    digit = np.zeros((SIDE, SIDE), np.float32)
    digit[:120, :12] = digit[:12, :90] = 1
    picture = digit.copy()
    picture[:, 150:156] = 1
    rest, found = without_lines(picture)
    assert found
    assert np.array_equal(rest, digit)


@pytest.mark.parametrize("inked", [[(30, 170)], [(0, 160)], [(0, 60), (140, 200)]], ids=["middle", "left", "ends"])
def test_a_stroke_that_does_not_go_from_border_to_border_is_no_line(inked: list[tuple[int, int]]):
    """It stops short of both borders or of one, or is broken off in the middle."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    for left, right in inked:
        picture[95:101, left:right] = 1
    picture[110:180, 90:100] = 1
    assert not without_lines(picture)[1]


def test_small_pictures_have_no_lines():
    """What was made for a model keeps all its strokes."""
    picture = np.zeros((28, 28), np.float32)
    picture[14] = 1
    picture[3:10, 12:15] = 1
    rest, found = without_lines(picture)
    assert not found
    assert rest is picture
