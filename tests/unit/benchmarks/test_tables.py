"""Figures as people read them."""

import pytest

from benchmarks.load.client_process import Concurrency, LoadResult
from benchmarks.load.series import Key
from benchmarks.peers.__main__ import PeerResult
from benchmarks.peers.report import tables
from benchmarks.report.tables import Table, count, document, microseconds, times


def test_a_table_in_markdown():
    """Names to the left, figures to the right, notes below."""
    table = Table("Rates", ["", "calls/s"], [["ours", "2,000"], ["theirs", "1,000"]], ["By h2load."])
    assert table.markdown() == (
        "## Rates\n\n|  | calls/s |\n| --- | ---: |\n| ours | 2,000 |\n| theirs | 1,000 |\n\nBy h2load.\n"
    )


def test_a_page_says_which_command_wrote_it():
    """And what it ran on."""
    page = document("Last results", "make bench", [Table("Rates", ["", "calls/s"])], "![a](b.png)")
    assert page.startswith("# Last results\n\nWritten by `make bench`")
    assert "![a](b.png)\n\n## Rates" in page
    assert "grpcio" in page.splitlines()[-1]


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (count(12345.6), "12,346"),
        (times(2.126), "2.13×"),
        (times(0.0711), "0.071×"),
        (microseconds(349.6), "350 µs"),
        (microseconds(4_240), "4.2 ms"),
        (microseconds(1_310_000), "1.3 s"),
    ],
)
def test_figures_have_the_digits_they_deserve(shown, wanted):
    """And their unit."""
    assert shown == wanted


def test_peers_stand_beside_the_reference_and_those_left_out_are_named():
    """Absolute figures, multiples of the reference's in the same round, and what is missing and why."""
    outcome = PeerResult(floors={1: [1000.0], 256: [9000.0]})
    for server, single, batched in (("digits", 300.0, 20.0), ("Triton", 100.0, 10.0)):
        outcome.ready_seconds[server], outcome.resident_mb[server] = 0.5, 100
        for key, rate in (
            (Key(server, 1, Concurrency(1, 1)), single / 10),
            (Key(server, 1, Concurrency(4, 32)), single),
            (Key(server, 256, Concurrency(2, 4)), batched),
        ):
            outcome.series.add(key, LoadResult(rate, *[1e6 / rate] * 6))
    outcome.left_out["Other"] = "it ended with 1:\nits log"
    rates, rest = tables(outcome, "free", "Triton", [1, 256])
    assert rates.rows[0] == ["digits", "300 (4×32)", "3.00×", "5,120 (2×4)", "2.00×"]
    assert rates.rows[1] == ["Triton", "100 (4×32)", "1.00×", "2,560 (2×4)", "1.00×"]
    assert "Left out: Other. it ended with 1:" in rates.notes
    assert rest.rows[0] == ["digits", "33.3 ms", "33.3 ms", "0.50 s", "100 MiB"]
