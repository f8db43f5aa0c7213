"""What is said of the rounds."""

import pytest

from benchmarks.load.client_process import Concurrency, LoadResult
from benchmarks.load.series import Key, Series

SMALL, LARGE = Concurrency(1, 1), Concurrency(4, 32)


def load(rate: float) -> LoadResult:
    return LoadResult(rate, *[1e6 / rate] * 6)


def series(**rates: list[float]) -> Series:
    """Of one image a call in the small shape, by server."""
    made = Series()
    for server, values in rates.items():
        for value in values:
            made.add(Key(server, 1, SMALL), load(value))
    return made


def test_the_median_of_the_rounds_is_taken():
    """An outlier does not move it."""
    assert series(ours=[100, 9000, 110]).median(Key("ours", 1, SMALL)) == 110


def test_ratios_are_taken_within_a_round():
    """When the machine halves its speed for a round, it does so for both."""
    measured = series(ours=[200, 100, 220], theirs=[100, 50, 110])
    assert measured.ratio(Key("ours", 1, SMALL), Key("theirs", 1, SMALL)) == 2
    assert measured.ratio(Key("ours", 1, SMALL), Key("theirs", 1, SMALL), "p50_us") == 0.5


def test_the_best_shape_of_a_server_counts():
    """By its median; other servers and other sizes are not looked at."""
    measured = series(ours=[100, 100, 900])
    for value in (120, 130, 110):
        measured.add(Key("ours", 1, LARGE), load(value))
    measured.add(Key("ours", 256, LARGE), load(5000))
    measured.add(Key("theirs", 1, LARGE), load(5000))
    assert measured.best("ours", 1) == Key("ours", 1, LARGE)
    assert measured.best("ours", 1, [SMALL]) == Key("ours", 1, SMALL)
    assert measured.best("ours", 32) is None


def test_what_failed_once_is_left_out_and_named():
    """With the rounds before."""
    measured = series(ours=[100, 100], theirs=[50, 50])
    measured.fail(Key("theirs", 1, SMALL), "it broke")
    assert measured.servers() == ["ours"]
    assert measured.best("theirs", 1) is None
    left_out = [entry for entry in measured.as_json() if "left_out" in entry]
    assert left_out == [{"server": "theirs", "images": 1, "in_flight": "1×1", "left_out": "it broke"}]


def test_rounds_that_do_not_pair_have_no_ratio():
    """A ratio of figures from different moments would be one of the machine."""
    measured = series(ours=[100, 100], theirs=[50])
    with pytest.raises(ValueError, match="shorter"):
        measured.ratio(Key("ours", 1, SMALL), Key("theirs", 1, SMALL))
