"""The HTTP side with a table of its own and no server: what it does with handlers, and with servers' habits."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from service.api.admission import Admission
from service.api.method import Kind, LocalContext, Method, table
from service.api.middleware.metrics import count_calls
from service.app import App
from service.config import Settings
from service.transports.http.application import HttpApp
from service.transports.http.connect import Connect
from tests.support.server import small_models

PATH = "/t.T/Speak"


class Handler:
    """Echoes; some words do more."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = False

    async def __call__(self, request: StringValue, call: LocalContext) -> StringValue:
        if request.value == "trailers":
            call.trailers |= {"x-note": "kept", "x-note-bin": b"\1\2"}
        if request.value == "metadata":
            return StringValue(value=f"{call.metadata['x-name']} {call.metadata['x-data-bin']!r} {call.peer}")
        if request.value == "deadline":
            return StringValue(value=str(call.deadline is not None))
        if request.value == "crash":
            raise KeyError("secret")
        if request.value == "wait":
            self.entered.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        return request


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def method(handler: Handler) -> Method:
    return count_calls(Method(PATH, StringValue, StringValue, Kind.UNARY, handler))


@pytest.fixture
def connect(method: Method) -> Connect:
    return Connect(table(method), Admission(1500, 10), 1000)


class Exchange:
    """One request as a server hands it over, and what comes back."""

    def __init__(self, value: object, *, again: bool = False, **headers: str) -> None:
        """`again`: after the body an empty message comes whenever one is asked for, as from Envoy with pyvoy."""
        self._messages = [{"type": "http.request", "body": json.dumps(value).encode(), "more_body": False}]
        self._again = again
        self.gone = asyncio.Event()
        self.asked = 0
        self.sent: list[dict] = []
        named = {"content-type": "application/json"} | {key.replace("_", "-"): text for key, text in headers.items()}
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "client": ("10.0.0.9", 1234),
            "headers": [(key.encode(), text.encode()) for key, text in named.items()],
        }

    async def receive(self) -> dict:
        self.asked += 1
        if self._messages:
            return self._messages.pop()
        if not self._again:
            await self.gone.wait()
        if self.gone.is_set():
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    async def through(self, application) -> tuple[int, dict[str, str], object]:
        """Status, headers and JSON of the answer."""
        await application(self.scope, self.receive, self.send)
        headers = {key.decode(): value.decode() for key, value in self.sent[0]["headers"]}
        return self.sent[0]["status"], headers, json.loads(self.sent[1]["body"])


async def test_a_handler_sees_metadata_deadline_and_peer(connect):
    """Names in lower case, `-bin` values as bytes, as over gRPC."""
    answer = await Exchange("metadata", X_Name="Ada", x_data_bin="AQI").through(connect)
    assert answer[2] == "Ada b'\\x01\\x02' 10.0.0.9:1234"
    assert (await Exchange("deadline", connect_timeout_ms="9000").through(connect))[2] == "True"
    assert (await Exchange("deadline").through(connect))[2] == "False"


async def test_trailers_of_a_handler_are_headers(connect):
    """With the prefix that the Connect protocol gives them; bytes as base64."""
    _, headers, _ = await Exchange("trailers").through(connect)
    assert (headers["trailer-x-note"], headers["trailer-x-note-bin"]) == ("kept", "AQI")


async def test_an_unexpected_error_is_internal_and_tells_nothing(connect, method):
    """The log has it in full."""
    status, _, answer = await Exchange("crash").through(connect)
    assert (status, answer) == (500, {"code": "internal", "message": "internal error"})
    assert {reason: timer.count for reason, timer in method.counts.calls.failures.items()} == {"Internal": 1}


@pytest.mark.parametrize("again", [False, True])
async def test_a_client_that_leaves_cancels_its_call_whatever_the_server_says_meanwhile(
    connect, handler, method, again
):
    """A server that answers `receive` at once, again and again, does not keep the event loop busy."""
    exchange = Exchange("wait", again=again)
    call = asyncio.create_task(connect(exchange.scope, exchange.receive, exchange.send))
    await handler.entered.wait()
    await asyncio.sleep(0.35)
    assert exchange.asked < 10
    exchange.gone.set()
    await asyncio.wait_for(call, 10)
    assert handler.cancelled
    assert method.counts.calls.failures["Cancelled"].count == 1
    assert method.counts.in_flight == 0


async def test_a_deadline_cancels_the_call_and_is_counted_as_such(connect, handler, method):
    """Though the handler only sees that it is cancelled."""
    status, _, answer = await Exchange("wait", connect_timeout_ms="50").through(connect)
    assert (status, answer["code"], handler.cancelled) == (504, "deadline_exceeded", True)
    assert method.counts.calls.failures["Expired"].count == 1


async def test_a_request_that_never_arrives_whole_is_given_up(connect, method, monkeypatch):
    """What is unfinished holds memory."""
    monkeypatch.setattr("service.transports.limits.ARRIVAL_SECONDS", 0.05)
    exchange = Exchange("")
    exchange._messages[0]["more_body"] = True
    status, _, answer = await exchange.through(connect)
    assert (status, answer["code"]) == (504, "deadline_exceeded")
    assert "had not arrived" in answer["message"]
    assert method.counts.calls.failures["DEADLINE_EXCEEDED"].count == 1
    assert (await Exchange("x" * 900).through(connect))[0] == 200


async def test_the_application_needs_no_lifespan_but_bears_one():
    """Started and ended by a server that asks; any other kind of connection is let go."""
    app = App(Settings(models=small_models(), log_level="error"))
    application = HttpApp(app.methods, app.rest, app.health, Settings(), app.metrics)

    async def events() -> AsyncIterator[dict]:
        yield {"type": "lifespan.startup"}
        yield {"type": "lifespan.shutdown"}

    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    coming = events()
    await application({"type": "lifespan"}, coming.__anext__, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    await application({"type": "websocket"}, coming.__anext__, send)
    assert len(sent) == 2
    app.close()


async def test_metrics_that_cannot_be_gathered_are_an_error_of_the_server():
    """And of that request alone."""

    async def broken() -> dict:
        raise ConnectionError("secret")

    app = App(Settings(models=small_models(), log_level="error"))
    application = HttpApp(app.methods, app.rest, app.health, Settings(), broken)
    exchange = Exchange("")
    exchange.scope |= {"path": "/metrics", "method": "GET"}
    status, _, answer = await exchange.through(application)
    assert (status, answer) == (500, {"code": "internal", "message": "internal error"})
    app.close()
