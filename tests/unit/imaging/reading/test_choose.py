"""The way through a chain that a network finds likeliest."""

import numpy as np
import pytest

from imaging.reading.choose import choose, quality
from imaging.reading.segment import Candidate, Chain, Line, Segmented
from imaging.reading.sheet import Cell


def chain(*spans: tuple[int, int], pieces: int, narrow: tuple[int, ...] = (), cell: Cell | None = None) -> Chain:
    """A chain of pieces 20 pixels wide, 60 high; candidate number n has image n."""
    candidates = [
        Candidate(first, last, (0, 60, 20 * first, 20 * last), 0.4 * (last - first < pieces), 0, row)
        for row, (first, last) in enumerate(spans)
    ]
    return Chain(pieces, tuple(candidates), tuple(place in narrow for place in range(pieces)), 60.0, cell)


def chosen(each: Chain, best: list[float], not_a_digit: list[float] | None = None, label: int = 0) -> list[int]:
    """The images of the candidates that are chosen, for these best scores."""
    scores = np.full((len(best), 10), 0.0, np.float32)
    scores[:, label] = best
    segmented = Segmented(np.zeros((len(best), 4), np.uint8), (Line((each,), 0),), 1.0, (60, 100), ())
    chances = None if not_a_digit is None else np.array(not_a_digit, np.float32)
    (line,) = choose(segmented, scores, np.full(len(best), label), chances)
    return [candidate.row for candidate in line.candidates]


def test_the_surest_way_is_taken():
    """Whole or in two, as the network says."""
    each = chain((0, 4), (0, 2), (2, 4), pieces=4)
    assert chosen(each, [0.3, 0.99, 0.99]) == [1, 2]
    assert chosen(each, [0.99, 0.3, 0.3]) == [0]


def test_what_is_no_digit_counts():
    """Two sure scores of images that show no digit lose against one that is less sure."""
    each = chain((0, 4), (0, 2), (2, 4), pieces=4)
    assert chosen(each, [0.6, 0.99, 0.99], [0.1, 0.9, 0.9]) == [0]
    assert chosen(each, [0.6, 0.99, 0.99], [0.9, 0.1, 0.1]) == [1, 2]


def test_a_digit_has_its_shape():
    """What is wider than high is rather a 0 than a 1."""
    each = chain((0, 4), (0, 2), (2, 4), pieces=4)
    assert chosen(each, [0.98, 0.57, 0.57], label=1) == [1, 2]
    assert chosen(each, [0.98, 0.57, 0.57], label=0) == [0]


def test_two_digits_may_share_a_narrow_piece():
    """Where they overlap: the third piece belongs to both."""
    assert chosen(chain((0, 3), (2, 5), pieces=5, narrow=(2,)), [0.9, 0.9]) == [0, 1]
    assert chosen(chain((0, 3), (2, 5), pieces=5), [0.9, 0.9]) != [0, 1]


def test_pieces_without_a_candidate_are_skipped():
    """Nothing is read where nothing may be a digit."""
    assert chosen(chain((1, 3), pieces=4), [0.9]) == [0]


def test_fields_keep_their_places():
    """Row and column of the grid come with each digit."""
    cells = [chain((0, 1), pieces=1, cell=Cell(2, col, (0, 1, 0, 1))) for col in (1, 4)]
    segmented = Segmented(np.zeros((1, 4), np.uint8), (Line(tuple(cells), 9),), 1.0, (60, 100), ())
    (line,) = choose(segmented, np.full((1, 10), 0.1, np.float32), np.zeros(1, np.int64), None)
    assert line.cells == ((2, 1), (2, 4))
    assert line.columns == 9


def test_quality_is_the_mean_chance():
    """Of being right and a digit; none without digits."""
    assert quality([0.9, 0.5], [0.0, 0.5]) == pytest.approx((0.9 + 0.25) / 2)
    assert quality([0.9], []) == pytest.approx(0.9)
    assert quality([], []) == 0
