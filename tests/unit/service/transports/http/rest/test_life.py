"""The life of a call over REST, with and without the fast path: clients that go, do not send, are too many."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from digits_protocol.inference import open_inference_pb2 as pb

from engine.errors import QueueFull
from service.api.admission import Admission
from service.api.method import Kind, Method
from service.api.middleware.metrics import count_calls
from service.api.open_inference.rest.codec import RestApi
from service.transports.http.rest import call as in_flight
from service.transports.http.rest.application import Rest
from service.transports.http.rest.fast_path import RestFastPath
from tests.unit.service.transports.http.rest.exchange import INFER, Exchange

METHOD = "/inference.GRPCInferenceService/ModelInfer"


async def until(condition: Callable[[], object]) -> None:
    """Let others run until it holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is about plain numbers
            await asyncio.sleep(0)


class Handler:
    """ModelInfer that does as its body says; `hang` until `release`."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.ended: list[str] = []
        method = Method(METHOD, pb.ModelInferRequest, pb.ModelInferResponse, Kind.UNARY, self.handle, self.begin)
        self.method = count_calls(method)

    async def read(self, method: Method, context: Any, data: bytes, start: int) -> bytes:
        return data[start:]

    async def write(self, response: bytes, context: Any) -> bytes:
        return response

    def begin(self, data: bytes, start: int, context: Any) -> asyncio.Future[bytes] | None:
        return None if data[start:] == b"decline" else asyncio.ensure_future(self.handle(data[start:], context))

    async def handle(self, request: bytes, context: Any) -> bytes:
        self.entered.set()
        try:
            if request == b"hang":
                await self.release.wait()
            if request == b"crash":
                raise RuntimeError("secret")
            if request == b"full":
                raise QueueFull("no room", retry_after=1.2)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        return b"answer" * 400 if request == b"large" else b"answer to " + request


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def admission() -> Admission:
    return Admission(1500, 3)


@pytest.fixture(params=["application", "callbacks"])
async def door(request, handler: Handler, admission: Admission) -> Any:
    rest = Rest(RestApi({METHOD: handler.method}, handler), admission, 1000)
    return rest if request.param == "application" else RestFastPath(rest, rest)


@pytest.fixture(autouse=True)
async def nothing_is_left(admission: Admission, handler: Handler):
    """No bytes, no calls, and none in flight, soon after the last answer."""
    yield

    await until(lambda: (admission.calls, admission._bytes, handler.method.counts.in_flight) == (0, 0, 0))


def exchange(*pieces: bytes, **headers: Any) -> Exchange:
    return Exchange(INFER, list(pieces), "POST", **({"inference_header_content_length": 0} | headers))


async def through(door: Any, *pieces: bytes, **headers: Any) -> tuple[int, bytes]:
    status, _, body = await exchange(*pieces, **headers).through(door)
    return status, body


def failures(handler: Handler) -> dict[str, int]:
    return {reason: timer.count for reason, timer in handler.method.counts.calls.failures.items()}


async def test_answers_of_every_size(door, handler):
    """In one piece and several; what the fast path declines, too."""
    assert await through(door, b"me") == (200, b"answer to me")
    assert await through(door, b"decline") == (200, b"answer to decline")
    assert await through(door, b"m", b"", b"e") == (200, b"answer to me")
    assert await through(door, b"large") == (200, b"answer" * 400)
    assert handler.method.counts.calls.success.count == 4


async def test_an_unexpected_error_tells_nothing(door, handler):
    """It is logged in full, and counted."""
    status, body = await through(door, b"crash")
    assert (status, json.loads(body)) == (500, {"error": "internal error"})
    assert failures(handler) == {"Internal": 1}


async def test_a_full_queue_says_when_to_return(door, handler):
    """In whole seconds."""
    status, headers, body = await exchange(b"full").through(door)
    assert (status, headers["retry-after"], json.loads(body)) == (429, "2", {"error": "no room"})


async def test_a_client_that_goes_cancels_its_call(door, handler, monkeypatch):
    """While the handler works; others are answered meanwhile."""
    monkeypatch.setattr(in_flight, "LOOK_SECONDS", 0.01)
    hasty = exchange(b"hang")
    hasty.begin(door)
    await handler.entered.wait()
    hasty.gone.set()
    async with asyncio.timeout(10):
        while not handler.ended:
            assert await through(door, b"me") == (200, b"answer to me")
    await until(lambda: failures(handler))
    assert (handler.ended, hasty.sent, failures(handler)) == (["CancelledError"], [], {"Cancelled": 1})


async def test_a_client_that_goes_while_it_sends_is_counted(door, handler):
    """Its handler is not entered."""
    hasty = exchange(b"m", b"e")
    hasty._messages.pop()
    hasty.begin(door)
    hasty.gone.set()
    await until(lambda: failures(handler))
    assert (handler.entered.is_set(), hasty.sent, failures(handler)) == (False, [], {"CANCELLED": 1})


@pytest.mark.parametrize("pieces", [(), (b"m",)])
async def test_a_request_that_never_comes_whole_is_given_up(door, handler, monkeypatch, pieces):
    """Neither its first bytes nor the rest."""
    monkeypatch.setattr("service.transports.limits.ARRIVAL_SECONDS", 0.05)
    monkeypatch.setattr(in_flight, "LOOK_SECONDS", 0.01)
    slow = exchange(*pieces, b"e")
    slow._messages.pop()
    status, _, body = await slow.through(door)
    assert (status, "had not arrived" in json.loads(body)["error"]) == (504, True)
    assert failures(handler) == {"DeadlinePassed": 1}


async def test_calls_beyond_those_allowed_at_once_are_refused(door, handler):
    """Until one ends."""
    waiting = [exchange(b"hang") for _ in range(3)]
    for each in waiting:
        each.begin(door)
    await until(lambda: handler.method.counts.in_flight == 3)
    status, body = await through(door, b"me")
    assert (status, json.loads(body)) == (429, {"error": "there are as many calls at once as are allowed"})
    handler.release.set()
    for each in waiting:
        await each.ended.wait()
    assert await through(door, b"me") == (200, b"answer to me")
    assert failures(handler) == {"LimitReached": 1}


async def test_a_body_over_the_limit_is_refused(door, handler):
    """In one piece and in several, before the rest of it has come."""
    for pieces in ((bytes(1001),), (bytes(600), bytes(600))):
        status, body = await through(door, *pieces)
        assert (status, json.loads(body)) == (413, {"error": "the body has more than 1000 bytes"})
    assert not handler.entered.is_set()


async def test_bytes_beyond_those_that_may_wait_are_refused(door, handler):
    """Of other calls: one alone always fits."""
    waiting = exchange(b"hang", inference_header_content_length=0)
    waiting._messages[0]["body"] = bytes(900) + b"hang"
    waiting.scope["headers"] = [(b"inference-header-content-length", b"900")]
    waiting.begin(door)
    await handler.entered.wait()
    status, body = await through(door, bytes(900))
    assert (status, "there is no room for 900 more" in json.loads(body)["error"]) == (429, True)
    handler.release.set()
    await waiting.ended.wait()
    assert (await through(door, bytes(900)))[0] == 200
