"""Golden rows are compared within a tolerance, and a malformed file is refused by its name."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from artifact.golden import Golden, GoldenError, read_golden, write_golden

GOLDEN = Golden(
    np.zeros((2, 4), np.uint8),
    np.array([1, 0]),
    np.array([[0.1, 0.9], [0.501, 0.499]], np.float32),
    np.array([0.2, 0.3], np.float32),
)


def test_what_is_written_is_read_back(tmp_path: Path):
    """With `not_a_digit` and without."""
    for golden in (GOLDEN, dataclasses.replace(GOLDEN, not_a_digit=None)):
        write_golden(tmp_path / "golden.npz", golden)
        again = read_golden(tmp_path / "golden.npz")
        for field in dataclasses.fields(Golden):
            np.testing.assert_array_equal(getattr(again, field.name), getattr(golden, field.name))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"labels": np.array([1, 0], np.int32)}, "labels is int32"),
        ({"scores": np.zeros((3, 2), np.float32)}, "as many rows"),
        ({"pixels": np.zeros(2, np.uint8)}, "2 dimensions"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, changed: dict, sentence: str):
    """By another type, another number of rows or another number of dimensions."""
    write_golden(tmp_path / "golden.npz", dataclasses.replace(GOLDEN, **changed))
    with pytest.raises(GoldenError, match=f"golden.npz: .*{sentence}"):
        read_golden(tmp_path / "golden.npz")


def test_a_missing_file_is_refused(tmp_path: Path):
    """By its name."""
    with pytest.raises(GoldenError, match=r"golden\.npz is missing"):
        read_golden(tmp_path / "golden.npz")


def test_the_largest_difference_counts_whichever_output_has_it():
    """Scores and `not_a_digit`; NaN is never within a tolerance."""
    scores, chances = GOLDEN.scores + np.float32(0.01), GOLDEN.not_a_digit + np.float32(0.05)
    assert GOLDEN.compare(GOLDEN.labels, scores, GOLDEN.not_a_digit, 1e-5) == (pytest.approx(0.01, rel=1e-3), 0)
    assert GOLDEN.compare(GOLDEN.labels, scores, chances, 1e-5) == (pytest.approx(0.05, rel=1e-3), 0)
    chances[1] = np.nan
    assert np.isnan(GOLDEN.compare(GOLDEN.labels, scores, chances, 1e-5)[0])


def test_labels_may_differ_where_the_tolerance_allows_either():
    """The second row's two best scores are 0.002 apart."""
    others = np.array([0, 1])
    assert GOLDEN.compare(others, GOLDEN.scores, GOLDEN.not_a_digit, 1e-5)[1] == 2
    assert GOLDEN.compare(others, GOLDEN.scores, GOLDEN.not_a_digit, 1e-2)[1] == 1
