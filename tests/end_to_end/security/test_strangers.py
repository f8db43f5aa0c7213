"""Strangers, and what is open to all, take no room from those who may call."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.end_to_end.security.tokens import ANNA, LIST, bearer, code
from tests.support.http_calls import ask
from tests.support.server import STEM, Server, StartServer


@contextmanager
def headers_only(channel: grpc.Channel, path: str, count: int) -> Iterator[list[grpc.Future]]:
    """Calls without a token of which nothing but the headers comes."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait()
        yield from ()

    calls = [channel.stream_unary(path).future(nothing()) for _ in range(count)]
    try:
        yield calls
    finally:
        over.set()
        for call in calls:
            call.cancel()


@pytest.fixture(scope="module")
def few(file: Path, start_for_module: StartServer) -> Server:
    """A server that allows five calls at once."""
    return start_for_module(f"--token-file={file}", "--allow-plaintext-tokens", "--max-concurrent-calls=5")


@pytest.mark.parametrize("method", ["Classify", "Read", "ListModels", "ClassifyStream"])
def test_strangers_take_no_room_from_others(few: Server, method: str):
    """They are refused when their headers come, though there are more of them than calls are allowed at once."""
    server = few
    with server.channel() as channel, headers_only(channel, STEM + method, 20) as calls:
        codes = {call.exception(timeout=10).code() for call in calls}
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        with headers_only(channel, STEM + method, 1) as [alone]:
            assert alone.exception(timeout=10).code() is grpc.StatusCode.UNAUTHENTICATED
    assert grpc.StatusCode.UNAUTHENTICATED in codes
    assert codes <= {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}


@pytest.fixture(scope="module")
def little(file: Path, start_for_module: StartServer) -> Server:
    """A server that holds a megabyte of requests."""
    return start_for_module(f"--token-file={file}", "--allow-plaintext-tokens", "--max-pending-mb=1")


@pytest.mark.parametrize(
    "kind", ["application/json", "application/proto", "application/grpc-web+proto", "REST", "tensors"]
)
def test_the_bodies_of_strangers_are_not_waited_for(little: Server, kind: str):
    """They are refused when their headers come, and nothing of what they send counts as a request's bytes."""
    server, rest = little, kind in ("REST", "tensors")
    path, method = ("/v2/models/mnist-16x16/infer", "ModelInfer") if rest else (LIST, "ListModels")
    before = refused(little, method)
    more = "inference-header-content-length: 100\r\n" if kind == "tensors" else ""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n{more}content-length: {2**20}\r\n\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", server.http_port), 5)) for _ in range(4)]
        for each in slow:
            each.sendall(head.encode() + b"{" * 500_000)
        for each in slow:
            answer = b""
            while b" 401 " not in answer and b"grpc-status: 16" not in answer:
                piece = each.recv(4096)
                assert piece, answer
                answer += piece
        assert ask(server, {}, LIST, authorization=f"Bearer {ANNA}")[0] == 200
    assert refused(server, method) == before + 4


def refused(server: Server, method: str) -> float:
    """How many calls of a method it has counted as UNAUTHENTICATED."""
    _, _, text = server.http("/metrics", authorization=f"Bearer {ANNA}")
    counted = [line for line in text.decode().splitlines() if f'{method}"' in line and "UNAUTHENTICATED" in line]
    return sum(float(line.rpartition(" ")[2]) for line in counted)


def test_what_is_open_to_all_has_room_of_its_own(file: Path, start_server: StartServer):
    """Watches, and probes that send only headers, have a limit of their own: other calls are not refused for them."""
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens", "--max-concurrent-calls=20")
    empty = health_pb2.HealthCheckRequest().SerializeToString()
    with server.channel() as channel:
        watches = [channel.unary_stream("/grpc.health.v1.Health/Watch")(empty, timeout=60) for _ in range(2)]
        assert [health_pb2.HealthCheckResponse.FromString(next(watch)).status for watch in watches] == [1, 1]
        for _ in range(30):
            with pytest.raises(grpc.RpcError, match="2 such calls are open") as caught:
                next(channel.unary_stream("/grpc.health.v1.Health/Watch")(empty, timeout=60))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with headers_only(channel, "/grpc.health.v1.Health/Check", 30) as calls:
            refused = [call for call in calls[10:] if call.exception(timeout=10)]
            assert {call.code() for call in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        watches[0].cancel()
        again = channel.unary_stream("/grpc.health.v1.Health/Watch")
        assert answered(lambda: next(again(empty, timeout=60)))


def answered(call: Callable[[], object]) -> object:
    """What it gives once there is room for it again."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return call()
        except grpc.RpcError:
            assert time.monotonic() < deadline


def test_watches_leave_room_for_calls_where_all_is_open(start_server: StartServer):
    """They never end, so there may be a tenth as many of them as of calls."""
    server = start_server("--max-concurrent-calls=10")
    with server.channel() as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        first = watch(b"", timeout=60)
        assert next(first)
        for _ in range(30):
            with pytest.raises(grpc.RpcError) as caught:
                next(watch(b"", timeout=10))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert code(server, []) is grpc.StatusCode.OK
        first.cancel()
