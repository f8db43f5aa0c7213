"""Our own client against real gRPC servers."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from benchmarks.load.client import closed_loop, due_times, open_loop, since_due
from benchmarks.load.http2 import Connection

PATH = "/any.Service/Method"


@contextlib.contextmanager
def served(answer, threads=4, **options):
    """A port on which grpc answers every call by `answer(request, context)`."""

    class EveryMethod(grpc.GenericRpcHandler):
        def service(self, handler_call_details):
            return grpc.unary_unary_rpc_method_handler(answer)

    unlimited = [("grpc.max_receive_message_length", -1), *options.items()]
    server = grpc.server(ThreadPoolExecutor(threads), handlers=[EveryMethod()], options=unlimited)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def message(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


def test_due_times_have_the_rate_and_are_the_same_again():
    """Ascending, at random, of the asked rate on average."""
    due = due_times(1000, 20)
    assert len(due) == 20_000
    assert (np.diff(due) > 0).all()
    assert due[-1] == pytest.approx(20, rel=0.05)
    assert np.std(np.diff(due)) == pytest.approx(0.001, rel=0.05)
    assert (due == due_times(1000, 20)).all()


def test_a_call_is_timed_from_when_it_was_due():
    """A server that halted from 0 to 1 s kept all calls waiting that were due meanwhile, not just the first."""
    due = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    done = np.array([1.0, 1.0, 1.0, 1.0, 1.1])
    assert since_due(due, done).tolist() == pytest.approx([1e6, 0.75e6, 0.5e6, 0.25e6, 0.1e6])


def test_calls_that_wait_behind_a_halt_are_slow_in_the_open_loop():
    """One call of half a second on a server of one thread: whatever is due in it counts with its wait."""
    requests = []

    def answer(request, context):
        requests.append(request)
        if len(requests) == 1:
            time.sleep(0.5)
        return request

    with served(answer, threads=1) as port:
        outcome = open_loop([Connection(port, PATH)], message(b"x"), np.arange(100) / 100)
    assert outcome.failed == 0
    assert len(outcome.times_us) == 100
    assert (outcome.times_us > 0.2e6).sum() >= 30  # those due in the first 0.3 s


@pytest.mark.parametrize("size", [1, 800, 3_000_000])
def test_the_closed_loop_sees_every_answer(size):
    """Also those of messages above what a connection's window holds at once."""
    seen = []

    def answer(request, context):
        seen.append(request)
        return request[:1]

    body = np.random.default_rng(1).bytes(size)
    with served(answer) as port:
        outcome = closed_loop([Connection(port, PATH), Connection(port, PATH)], message(body), streams=3, calls=20)
    assert outcome.failed == 0
    assert len(outcome.times_us) == 20
    assert seen == [body] * 20


def test_calls_that_end_with_an_error_count_as_failed():
    """They carry no message."""
    seen = []

    def answer(request, context):
        seen.append(request)
        if len(seen) % 4 == 0:
            context.abort(grpc.StatusCode.INTERNAL, "no")
        return request

    with served(answer, threads=1) as port:
        outcome = closed_loop([Connection(port, PATH)], message(b"x"), streams=1, calls=40)
        assert (outcome.failed, len(outcome.times_us)) == (10, 30)
        outcome = open_loop([Connection(port, PATH)], message(b"x"), np.arange(20) / 1000)
        assert (outcome.failed, len(outcome.times_us)) == (5, 15)


def test_no_more_calls_are_begun_than_the_server_allows():
    """They wait at the client until others end, as the server's settings ask."""
    with served(lambda request, context: request, **{"grpc.max_concurrent_streams": 2}) as port:
        connection = Connection(port, PATH)
        assert closed_loop([connection], message(b"x"), streams=1, calls=1).failed == 0  # now it knows
        outcomes = [closed_loop([connection], message(b"x"), streams=10, calls=200) for _ in range(5)]
    # Not none: for a moment after it ended a call, grpc still counts it, and for longer on a busy machine. Unlimited,
    # nearly all would be refused each time.
    assert min(outcome.failed for outcome in outcomes) < 50


def test_a_connection_that_is_closed_is_an_error():
    """Rather than calls that are waited for until the end of time."""
    with served(lambda request, context: request) as port:
        connection = Connection(port, PATH)
        assert closed_loop([connection], message(b"x"), streams=1, calls=1).failed == 0
    with pytest.raises(ConnectionError):
        closed_loop([connection], message(b"x"), streams=1, calls=1)
