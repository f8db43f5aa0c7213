"""The differences from Triton over REST that `make compare-triton` knows are those that the documentation lists."""

import re

from benchmarks.peers.rest.reasons import REASONS
from benchmarks.peers.rest.requests import requests
from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "how-to" / "open-inference-rest.md").read_text()


def test_the_page_lists_every_difference_and_no_other():
    """Each in a row, in the order of the reasons."""
    table = PAGE.partition("| difference | times |")[2]
    assert re.findall(r"^\| (\S.*?) \| \d+ \|", table, re.MULTILINE) == [reason.sentence for reason in REASONS]


def test_the_page_says_how_many_requests_there_are():
    """Each has a name of its own, good or bad."""
    asked = requests("/digits-none")
    assert f"sends {len(asked)} good and bad requests" in PAGE
    assert len({each.about for each in asked}) == len(asked)
