"""Figures as people read them."""

import pytest

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
