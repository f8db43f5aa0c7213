"""Segmentation of pictures that nobody would draw."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.reading.choose import choose
from imaging.reading.segment import TooManyMarksError, segment
from tests.support.cards import card

FORM = card()


@st.composite
def pictures(draw: st.DrawFn) -> np.ndarray:
    """Noise, dots, bars, shades and a border, of any size and shape up to 90 pixels."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grey = np.full((height, width), draw(st.floats(0, 1)), np.float32)
    if draw(st.booleans()):
        grey += random.normal(0, draw(st.floats(0, 0.3)), grey.shape).astype(np.float32)
    if draw(st.booleans()):
        grey[random.random(grey.shape) < draw(st.floats(0, 0.5))] = draw(st.floats(0, 1))
    for _ in range(draw(st.integers(0, 12))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        down, across = draw(st.integers(1, 40)), draw(st.integers(1, 40))
        grey[top : top + down, left : left + across] = draw(st.floats(0, 1))
    return grey.clip(0, 1)


@settings(max_examples=60)
@given(pictures())
def test_any_picture_is_read_or_refused(grey: np.ndarray):
    """Every box lies in the sheet and has ink, each line has its digits from the left, no image belongs to two."""
    before = grey.copy()
    try:
        found = segment(grey, FORM)
    except TooManyMarksError:
        return
    np.testing.assert_array_equal(grey, before)
    candidates = [each for line in found.lines for chain in line.chains for each in chain.candidates]
    assert sorted(each.row for each in candidates) == list(range(len(found.pixels)))
    assert all(found.pixels.any(axis=1))
    for top, bottom, left, right in (each.box for each in candidates):
        assert 0 <= top < bottom <= grey.shape[0]
        assert 0 <= left < right <= grey.shape[1]
    scores = np.full((len(found.pixels), 10), 0.1, np.float32)
    for line in choose(found, scores, np.zeros(len(scores), np.int64), None):
        assert len(line.candidates) == len(line.cells)
        if not line.columns:
            middles = [each.first + each.last for each in line.candidates]
            assert middles == sorted(middles)
