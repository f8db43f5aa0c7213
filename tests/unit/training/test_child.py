"""A second process: what it sends, and an end in every case."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from tests.support.processes import ROOT
from training.child import Child, ChildError

WAIT_SECONDS = 60
MODULE = "tests.unit.training.endless"
_FIRST = f"""
from training.child import Child
with Child("{MODULE}", "computes", (1,)) as child:
    while True:
        child.receive()
"""


def test_its_arrays_arrive_in_order():
    """As bytes; leaving the context ends it although it has more to send."""
    with Child(MODULE, "computes", (7,)) as child:
        assert [np.frombuffer(child.receive(), np.int64).tolist() for _ in range(3)] == [[7], [8], [9]]
        assert child._process.poll() is None
        assert os.getsid(child._process.pid) == child._process.pid  # a terminal's Ctrl-C does not reach it
    assert child._process.poll() == -signal.SIGKILL


def test_one_that_fails_is_an_error():
    """Its traceback is on stderr; the error says what it did and its exit code."""
    with (
        pytest.raises(ChildError, match=r"^the process that computes ended, exit code 1$"),
        Child(MODULE, "computes", ()) as child,
    ):
        child.receive()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_the_first_one(number: signal.Signals):
    """By Ctrl-C, which a terminal sends to a group of processes and the first one alone reports, and by kill -9."""
    first = subprocess.Popen(
        [sys.executable, "-c", _FIRST], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert first.stderr is not None
        assert first.stderr.readline() == "computing\n"
        os.killpg(first.pid, number)
        _, rest = first.communicate(timeout=WAIT_SECONDS)  # it returns when no process has the pipe any more
    finally:
        with suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
    assert rest.count("Traceback") == (number == signal.SIGINT)
