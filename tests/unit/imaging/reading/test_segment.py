"""Segmentation of sheets: lines, parts, cuts, grids."""

import numpy as np
import pytest

from imaging.pixels import WarningCode
from imaging.reading.segment import Segmented, TooManyMarksError, segment
from tests.support.cards import card
from tests.unit.imaging.reading.sheets import bar, grey, ring, sheet

FORM = card(rows=28, cols=28, pixel_max=255, preparation="mass")


def whole(found: Segmented) -> list[list[tuple[int, int, int, int]]]:
    """For each line the boxes of its parts that are not cut, from the left."""
    lines = []
    for line in found.lines:
        boxes = {c.box for chain in line.chains for c in chain.candidates if not c.cut and not c.apart}
        lines.append(sorted(boxes, key=lambda box: box[2]))
    return lines


def test_digits_side_by_side_are_a_line():
    """Their boxes are where they were drawn, and their images those of a model."""
    image, draw = sheet(120, 260)
    ring(draw, 20, 30)
    bar(draw, 110, 30)
    ring(draw, 160, 30)
    found = segment(grey(image), FORM)
    (boxes,) = whole(found)
    assert [box[2] for box in boxes] == pytest.approx([20, 110, 160], abs=2)
    assert [box[3] for box in boxes] == pytest.approx([61, 117, 201], abs=2)
    assert found.pixels.shape[1] == 784
    assert found.pixels.dtype == np.uint8
    assert found.pixels.max(axis=1).min() == 255
    assert found.codes == ()
    assert found.factor == 1
    assert found.shape == (120, 260)


def test_lines_come_from_the_top_and_may_lean():
    """Each digit of the second line stands 8 pixels lower than the one before."""
    image, draw = sheet(360, 400)
    for place in range(5):
        ring(draw, 20 + 70 * place, 20)
        bar(draw, 30 + 70 * place, 150 + 8 * place)
    counts = [len(boxes) for boxes in whole(segment(grey(image), FORM))]
    assert counts == [5, 5]


def test_parts_above_each_other_are_one_digit():
    """The bar over a ring, as that of a 5 which was drawn apart."""
    image, draw = sheet(140, 200)
    ring(draw, 30, 50)
    draw.rectangle([32, 36, 74, 41], fill=20)
    bar(draw, 120, 40, 70)
    (boxes,) = whole(segment(grey(image), FORM))
    assert [box[0] for box in boxes] == pytest.approx([36, 40], abs=2)


@pytest.mark.parametrize("cut", [0, 10])
def test_digits_that_touch_are_cut_where_they_touch(cut: int):
    """One mark; among the candidates are both rings, each alone, and the two together are too wide."""
    image, draw = sheet(120, 200)
    ring(draw, 30, 30)
    ring(draw, 71 - cut // 3, 30)
    found = segment(grey(image), FORM)
    ((chain,),) = [line.chains for line in found.lines]
    boxes = [candidate.box for candidate in chain.candidates]
    for left, right in ((30, 71), (71 - cut // 3, 112 - cut // 3)):
        assert min(abs(box[2] - left) + abs(box[3] - right) for box in boxes) <= 6
    assert all(candidate.cut > 0 for candidate in chain.candidates if candidate.last - candidate.first < chain.pieces)


def test_cuts_are_counted_in_strokes_of_what_is_cut():
    """A thin ring beside thick bars: a cut through it goes through two of its strokes, not through a part of one."""
    image, draw = sheet(160, 760)
    for left in range(30, 630, 60):
        draw.rectangle([left, 40, left + 14, 119], fill=20)
    draw.ellipse([660, 40, 730, 119], outline=20, width=2)
    found = segment(grey(image), FORM)
    ((chain,),) = [line.chains for line in found.lines]
    halves = [each for each in chain.candidates if each.box[2] > 650 and each.box[3] - each.box[2] < 50]
    assert halves
    assert min(each.cut for each in halves) > 0.9


@pytest.mark.parametrize("squares", [False, True])
def test_rules_are_taken_off(squares: bool):
    """Two digits on ruled or squared paper, whose lines cross them, lean a little and touch all borders."""
    image, draw = sheet(200, 320)
    for row in range(10, 200, 25):
        draw.line([0, row, 319, row + 5], fill=170, width=2)
    for col in range(5, 320, 25) if squares else ():
        draw.line([col, 0, col, 199], fill=170, width=2)
    ring(draw, 60, 60, 80)
    bar(draw, 200, 60, 80)
    found = segment(grey(image), FORM)
    (boxes,) = whole(found)
    assert [box[2] for box in boxes] == pytest.approx([60, 200], abs=4)
    assert found.codes == (WarningCode.LINES_REMOVED,)


def test_a_grid_is_read_field_by_field():
    """Three by three fields, not at the border, with bold lines around; the digits lie in three of them."""
    image, draw = sheet(300, 300)
    for place in range(4):
        width = 5 if place in (0, 3) else 2
        draw.line([30, 30 + 80 * place, 270, 30 + 80 * place], fill=60, width=width)
        draw.line([30 + 80 * place, 30, 30 + 80 * place, 270], fill=60, width=width)
    ring(draw, 50, 45, 50)
    bar(draw, 230, 45, 50)
    ring(draw, 130, 205, 50)
    found = segment(grey(image), FORM)
    assert [line.columns for line in found.lines] == [3, 3, 3]
    fields = [[(chain.cell.row, chain.cell.col) for chain in line.chains if chain.cell] for line in found.lines]
    assert fields == [[(0, 0), (0, 2)], [], [(2, 1)]]


def test_a_blank_sheet_has_no_lines():
    """It says so."""
    found = segment(np.full((100, 200), 0.9, np.float32), FORM)
    assert found.lines == ()
    assert found.codes == (WarningCode.BLANK,)
    assert found.pixels.shape == (0, 784)


def test_a_large_picture_is_searched_smaller():
    """Boxes are in pixels of the sheet, `factor` of which are one of the picture."""
    image, draw = sheet(800, 1536)
    ring(draw, 400, 200, 300)
    bar(draw, 900, 200, 300)
    found = segment(grey(image), FORM)
    (boxes,) = whole(found)
    assert found.factor == 2
    assert [box[2] for box in boxes] == pytest.approx([200, 450], abs=2)


def test_too_many_marks_are_refused(monkeypatch: pytest.MonkeyPatch):
    """By a sentence; thousands of marks would cost seconds."""
    monkeypatch.setattr("imaging.reading.segment.MOST_CANDIDATES", 10)
    image, draw = sheet(120, 700)
    for place in range(12):
        bar(draw, 20 + 55 * place, 30)
    with pytest.raises(TooManyMarksError, match="have more than 10 parts to try"):
        segment(grey(image), FORM)


def test_thousands_of_marks_are_refused_before_they_are_sorted():
    """Dots, each of which may be a digit: the sentence has their number."""
    grey, random = np.full((600, 600), 0.95, np.float32), np.random.default_rng(1)
    for row in range(10, 580, 15):
        for col in range(10, 580, 15):
            down, across = random.integers(0, 8, 2)
            grey[row + down : row + down + 6, col + across : col + across + 4] = 0.1
    with pytest.raises(TooManyMarksError, match="shows 1444 marks, expected at most 1000"):
        segment(grey, FORM)


@pytest.mark.parametrize("strokes", [[(10, 10, 90, 10), (90, 10, 40, 150)], [(20, 0, 20, 150), (80, 0, 80, 150)]])
def test_straight_strokes_of_a_digit_are_no_rules(strokes: list[tuple[int, int, int, int]]):
    """The bar of a 7 that fills its picture, and the uprights of an H."""
    image, draw = sheet(160, 100)
    for stroke in strokes:
        draw.line(stroke, fill=20, width=12)
    found = segment(grey(image), FORM)
    assert found.codes == ()
    boxes = [c.box for line in found.lines for chain in line.chains for c in chain.candidates]
    assert max(right for _, _, _, right in boxes) - min(left for _, _, left, _ in boxes) >= 60
