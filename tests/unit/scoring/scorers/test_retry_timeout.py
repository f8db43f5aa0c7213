"""How long a server is waited for: as long as was said, counted from when there was something to wait for."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from digits_client import DeadlineExceeded, InvalidInput, Unavailable

from scoring import ScorerError, score
from scoring.scorers.remote import RemoteScorer
from tests.support.server import Server, StartServer
from tests.unit.scoring import formats

SHARING = "--shared-memory=digits-test-"
# What a wait may last beyond the patience: to say goodbye, and for a machine that is busy.
MORE_SECONDS = 2.5

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def arrays() -> Arrays:
    """Blank images for mnist-16x16, and room for what is made of them."""
    return np.zeros((900, 784), np.uint8), np.empty(900, np.int64), np.empty((900, 10), np.float32)


@pytest.fixture
def mute() -> Iterator[str]:
    """The address of what accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_mute_server_is_given_up_when_patience_ends(mute: str, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path):
    """All that is asked before the work has one patience in common."""
    file = formats.npy(tmp_path / "a.npy", digits[0])
    began = time.monotonic()
    with pytest.raises(
        (DeadlineExceeded, Unavailable), match=rf"no answer from {mute} within 2 s|cannot reach {mute}: "
    ):
        score(file, tmp_path / "out.csv", server=mute, patience=2)
    assert time.monotonic() - began < 2 + MORE_SECONDS
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.front("grpcio")  # a job does the same with either transport
@pytest.mark.parametrize("shared_memory", ["", "digits-test-"])
def test_a_server_that_falls_silent_is_given_up_when_patience_ends(
    start_server: StartServer, shared_memory: str, arrays: Arrays
):
    """It is not waited for a second time to be told goodbye."""
    server = start_server(SHARING)
    try:
        with RemoteScorer(server.address, retry_timeout=5, shared_memory=shared_memory, job="x") as scorer:
            scorer.score(*arrays)
            server.signal(signal.SIGSTOP)
            began = time.monotonic()
            with pytest.raises(ScorerError, match=rf"^{server.address} gave no answer for 5 s(: |$)"):
                scorer.score(*arrays)
        assert time.monotonic() - began < 5 + MORE_SECONDS
    finally:
        server.signal(signal.SIGCONT)
        server.end()


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_patience_begins_when_there_is_something_to_wait_for(start_server: StartServer, arrays: Arrays):
    """Not with the last answer: rows may take their time to come, and a server that restarts then is waited for."""
    server = start_server()
    with RemoteScorer(server.address, retry_timeout=60) as scorer:
        scorer.score(*arrays)
        expected = arrays[2].copy()
        scorer._last_answer -= 1000
        server.process.kill()
        server.process.wait()
        arrays[2][:] = 0
        waiting = threading.Thread(target=scorer.score, args=arrays)
        waiting.start()
        start_server(port=server.port).wait_for("serving")
        waiting.join()
        np.testing.assert_array_equal(arrays[2], expected)


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_a_server_that_comes_back_with_less_room_is_not_asked_for_ever(start_server: StartServer, arrays: Arrays):
    """By shared memory a refusal may mean that it has forgotten the region, but not again and again."""
    server = start_server(SHARING)
    with RemoteScorer(server.address, shared_memory="digits-test-", job="y") as scorer:
        scorer.score(*arrays)
        server.process.kill()
        server.process.wait()
        smaller: Server = start_server(SHARING, "--max-batch-rows=16", port=server.port)
        enough = threading.Timer(30, scorer.stop)
        enough.start()
        with pytest.raises(InvalidInput, match=r"900.* 16"):
            scorer.score(*arrays)
        enough.cancel()
    smaller.end()
