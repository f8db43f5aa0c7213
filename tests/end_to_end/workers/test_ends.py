"""Several workers on one port: how they end, and how they come back."""

import os
import signal
import socket
import time
from contextlib import ExitStack

import grpc
import numpy as np
import pytest
from digits_client import DigitsClient
from digits_protocol.digits.v1 import digits_pb2 as pb

from tests.end_to_end.workers.two_workers import (
    NAME,
    Load,
    channels,
    classify,
    kill,
    pids,
    runs,
    statistics,
)
from tests.support.server import Server, StartServer, Stub


def test_a_worker_killed_under_load_comes_back_and_nobody_notices(crew: Server):
    """Calls on the other worker go on, and clients that retry lose none."""
    image = np.zeros((28, 28), np.uint8)
    with channels(crew) as by_number, ExitStack() as stack:
        clients = [stack.enter_context(DigitsClient(crew.address)) for _ in range(4)]
        neighbours = [Load(lambda: classify(by_number[1])) for _ in range(2)]
        retrying = [Load(lambda client=client: client.classify(image)) for client in clients]
        time.sleep(0.3)
        kill(crew, 2)
        kill(crew, 2)
        time.sleep(0.3)
        for each in neighbours + retrying:
            each.stop()
    assert [each.errors for each in neighbours + retrying] == [[]] * 6
    assert all(each.answered > 10 for each in neighbours + retrying)
    died = [line for line in crew.lines if line["event"] == "worker ended"]
    assert died[-1]["signal"] == "SIGKILL"


@pytest.mark.front("grpcio")  # Envoy ends at once when it is told so by anyone but its supervisor
def test_a_worker_told_to_end_ends_its_calls_and_is_replaced(crew: Server):
    """SIGTERM for one worker: the calls in flight are answered, and stay counted to the last."""
    with channels(crew) as by_number:
        before = statistics(by_number[2]).inference_stats.success.count
        calls = [
            Stub(by_number[1]).classify.future(pb.ClassifyRequest(model=NAME, pixels=bytes(784 * 1000)))
            for _ in range(8)
        ]
        calls[0].result(20)
        kill(crew, 1, signal.SIGTERM)
        errors = [error.code() for call in calls if (error := call.exception()) is not None]
        assert set(errors) <= {grpc.StatusCode.UNAVAILABLE}
        answered = len(calls) - len(errors)
        assert statistics(by_number[2]).inference_stats.success.count == before + answered
    assert [line for line in crew.lines if line["event"] == "worker ended"][-1]["exit_code"] == 0


@pytest.mark.parametrize(
    "number",
    # The next test sends SIGINT to both fronts.
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.front("grpcio"))],
)
def test_a_signal_under_load_loses_no_call_that_was_entered(start_server: StartServer, number: int):
    """As many calls are answered as the workers say; what comes later is refused cleanly."""
    server = start_server("--workers=2", "--log-level=debug")
    with ExitStack() as stack:
        loads = []
        for _ in range(8):
            channel = stack.enter_context(server.channel())
            loads.append(Load(lambda channel=channel: classify(channel, images=64)))
        time.sleep(0.5)
        server.signal(number)
        assert server.process.wait(30) == 0
        for each in loads:
            each.stop()
    server.reader.join(5)
    codes = [line["code"] for line in server.lines if line["event"] == "call"]
    assert sum(each.answered for each in loads) == codes.count("OK") > 50
    assert set(codes) <= {"OK", "UNAVAILABLE"}
    assert {error.code() for each in loads for error in each.errors} == {grpc.StatusCode.UNAVAILABLE}
    assert [line["event"] for line in server.lines if "worker" not in line][-2:] == ["draining", "stopped"]
    assert not [line for line in server.lines if line["event"] == "worker ended"]


def test_ctrl_c_in_a_terminal_is_for_the_supervisor(start_server: StartServer):
    """It goes to every process of the foreground group, and the workers end their calls all the same."""
    server = start_server("--workers=2", group=True)
    with ExitStack() as stack:
        loads = []
        for _ in range(4):
            channel = stack.enter_context(server.channel())
            loads.append(Load(lambda channel=channel: classify(channel, images=64)))
        time.sleep(0.3)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(30) == 0
        for each in loads:
            each.stop()
    server.reader.join(5)
    assert {error.code() for each in loads for error in each.errors} == {grpc.StatusCode.UNAVAILABLE}
    assert not [line for line in server.text if not line.startswith("{")]
    assert not [line for line in server.lines if line["event"] == "worker ended"]


def test_a_second_signal_ends_all_workers_at_once(start_server: StartServer):
    """Even one that hangs: exit code 1, and none is left."""
    server = start_server("--workers=2", "--grace-seconds=60")
    os.kill(pids(server)[1], signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    server.wait_for("draining")
    server.signal(signal.SIGINT)
    assert server.process.wait(20) == 1
    assert server.lines[-1]["event"] == "stopped at once by a second signal"
    assert not [pid for pid in pids(server).values() if runs(pid)]


@pytest.mark.front("grpcio")  # the supervisor of either kills what it has started
def test_a_worker_that_does_not_end_in_time_is_killed(start_server: StartServer):
    """Some seconds after the grace time; the server ends well."""
    server = start_server("--workers=2", "--grace-seconds=0")
    os.kill(pids(server)[1], signal.SIGSTOP)
    assert server.end() == 0
    server.reader.join(5)
    assert server.wait_for("worker killed, it did not end")["worker"] == 1
    assert not [pid for pid in pids(server).values() if runs(pid)]


def test_workers_end_when_their_supervisor_was_killed(start_server: StartServer):
    """Nobody is left to hold the port."""
    server = start_server("--workers=2", "--grace-seconds=5")
    server.process.kill()
    deadline = time.monotonic() + 30
    while any(runs(pid) for pid in pids(server).values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    socket.create_server(("127.0.0.1", server.port)).close()
