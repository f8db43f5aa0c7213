"""Connected marks: found as by the definition, and told digit from neighbours."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from imaging.marks import digit_marks, find_marks


@given(st.tuples(st.integers(1, 25), st.integers(1, 25)).flatmap(lambda shape: arrays(np.bool_, shape)))
def test_marks_are_those_of_scipy(mask: np.ndarray):
    """Number, ink, boxes and pixels of the marks are those of another implementation, for any mask."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    marks = find_marks(mask.astype(np.float32))
    assert len(marks) == count
    found = set()
    for index in range(count):
        pixels = marks.mask(np.arange(count) == index)
        rows, cols = np.nonzero(pixels)
        assert (marks.top[index], marks.bottom[index]) == (rows.min(), rows.max())
        assert (marks.left[index], marks.right[index]) == (cols.min(), cols.max())
        assert marks.ink[index] == pixels.sum() == marks.sums(mask.astype(np.float32))[index]
        found.add(pixels.tobytes())
    assert found == {(labels == label).tobytes() for label in range(1, count + 1)}


def boxes(*places: tuple[int, int, int, int]) -> np.ndarray:
    """Full boxes (top, bottom, left, right) on 100×100."""
    picture = np.zeros((100, 100), np.float32)
    for top, bottom, left, right in places:
        picture[top:bottom, left:right] = 1
    return picture


def kept(*places: tuple[int, int, int, int]) -> tuple[list[bool], bool]:
    """Which of the boxes, in order from the top and the left, are the digit."""
    marks, several = digit_marks(found := find_marks(boxes(*places)))
    order = np.lexsort((found.left, found.top))
    return marks[order].tolist(), several


def test_what_belongs_to_a_digit():
    """A bar beside a digit stays; a speck, a far mark and a neighbour's part at the border go."""
    digit = (30, 70, 40, 60)
    assert kept(digit) == ([True], False)
    assert kept((22, 27, 42, 70), digit) == ([True, True], False)
    assert kept((50, 53, 34, 37), digit) == ([True, False], False)
    assert kept((50, 51, 38, 39), (30, 70, 40, 41)) == ([True, False], False)
    assert kept(digit, (90, 95, 40, 60)) == ([True, False], False)
    assert kept((0, 20, 45, 55), digit) == ([False, True], False)


def test_a_mark_as_tall_beside_it_is_another_digit():
    """Two tall marks side by side are several; one above the other are one digit in two strokes."""
    assert kept((30, 70, 30, 45), (31, 70, 55, 70)) == ([True, True], True)
    assert kept((20, 45, 30, 60), (50, 75, 30, 60)) == ([True, True], False)
