"""The HTTP port of the grpcio transport: connections that rest, are slow, or leave their requests unfinished."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.app import App
from service.config import Settings
from service.process.servers import Servers
from service.transports.http.connection import SMALL_BYTES, SMALL_PIECES, ConnectionLimit, HttpConnection
from service.transports.http.uvicorn import HttpServer
from service.transports.limits import HEADERS_SECONDS
from tests.support.server import small_models

IDLE_SECONDS = 3600
WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
PART = b"GET / HTTP/1.1\r\nhost: x\r\nx"
UPLOAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Clock:
    """Stands for the event loop of a connection: its timers fire when a test says how late it is."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, asyncio.Handle]] = []
        self.create_task = asyncio.get_running_loop().create_task

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, asyncio.get_running_loop())
        self._timers.append((self._now + delay, handle))
        return handle

    def passes(self, seconds: float) -> None:
        self._now += seconds
        for _, handle in (timer for timer in self._timers if timer[0] <= self._now and not timer[1].cancelled()):
            handle._run()
        self._timers = [timer for timer in self._timers if timer[0] > self._now]


class Wire(asyncio.Transport):
    """Keeps what is written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing reads by itself here."""

    resume_reading = pause_reading


class Client:
    """One connection, from its other end."""

    def __init__(self) -> None:
        self.clock, self.wire = Clock(), Wire()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        config = uvicorn.Config(self._answer, interface="asgi3", log_config=None, timeout_keep_alive=IDLE_SECONDS)
        state = ServerState()
        self._connection = HttpConnection(
            ConnectionLimit(10), config=config, server_state=state, app_state={}, _loop=self.clock
        )
        self._tasks = state.tasks
        self._connection.connection_made(self.wire)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self.may_answer.wait()
        await application(scope, receive, send)

    async def sends(self, data: bytes) -> list[bytes]:
        """The statuses of what came back once all that can be answered is."""
        self.wire.written = b""
        self._connection.data_received(data)
        if not self.may_answer.is_set():
            return []
        while self._tasks:
            await asyncio.gather(*self._tasks)
            await asyncio.sleep(0)
        return [part[:3] for part in self.wire.written.split(b"HTTP/1.1 ")[1:]]

    def leaves(self) -> None:
        """The connection ends, as it does once it is closed."""
        self._connection.connection_lost(None)

    def waits(self, seconds: float) -> bytes:
        """What comes back when nothing is sent for so long."""
        self.wire.written = b""
        self.clock.passes(seconds)
        return self.wire.written


@pytest.fixture
async def client() -> Client:
    return Client()


@pytest.mark.parametrize("before", [b"", WHOLE, WHOLE + WHOLE, UPLOAD + bytes(9)])
async def test_a_connection_rests_as_long_as_the_setting_says(client: Client, before: bytes):
    """Whether a request came before or not; the next one is answered, and then it may rest as long again."""
    if before:
        await client.sends(before)
    for _ in range(2):
        assert client.waits(IDLE_SECONDS - 1) == b""
        assert not client.wire.closed
        assert await client.sends(WHOLE) == [b"200"]
    assert client.waits(IDLE_SECONDS) == b""
    assert client.wire.closed


@pytest.mark.parametrize("before", [b"", WHOLE])
async def test_the_time_of_headers_begins_with_their_first_byte(client: Client, before: bytes):
    """However long the connection had rested; bytes that come now and then prolong nothing."""
    if before:
        await client.sends(before)
    client.waits(IDLE_SECONDS - 1)
    for byte in PART[: HEADERS_SECONDS - 1]:
        assert await client.sends(bytes([byte])) == []
        assert client.waits(1) == b""
    assert not client.wire.closed
    assert client.waits(1).startswith(b"HTTP/1.1 408")
    assert client.wire.closed


async def test_headers_that_come_in_time_are_answered(client: Client):
    """And have as much time again in the next request."""
    for _ in range(3):
        assert await client.sends(PART) == []
        assert client.waits(HEADERS_SECONDS - 1) == b""
        assert await client.sends(b": y\r\n\r\n") == [b"200"]


async def test_a_request_that_has_begun_behind_another_must_come_too(client: Client):
    """Its first bytes came with the one before."""
    assert await client.sends(WHOLE + PART) == [b"200"]
    assert client.waits(HEADERS_SECONDS).startswith(b"HTTP/1.1 408")
    assert client.wire.closed


async def test_what_is_left_of_an_answered_request_must_come(client: Client):
    """In the time of headers; when it does, the connection rests."""
    assert await client.sends(UPLOAD) == [b"200"]
    assert client.waits(HEADERS_SECONDS - 1) == b""
    assert await client.sends(bytes(9)) == []
    assert client.waits(IDLE_SECONDS - 1) == b""
    assert await client.sends(UPLOAD) == [b"200"]
    assert client.waits(HEADERS_SECONDS) == b""
    assert client.wire.closed


async def test_an_answer_may_take_longer_than_headers_and_rest(client: Client):
    """And the next request on the same connection is answered as well."""
    client.may_answer.clear()
    await client.sends(WHOLE)
    assert client.waits(2 * IDLE_SECONDS) == b""
    client.may_answer.set()
    assert await client.sends(WHOLE) == [b"200", b"200"]


async def test_the_setting_reaches_the_port():
    """Of both ports it is the same."""
    settings = Settings(models=small_models(), log_level="error", connection_idle_seconds=77)
    app = App(settings)
    servers = Servers(app, settings, certificates=None)
    assert servers._http._server.config.timeout_keep_alive == 77
    app.close()


@pytest.fixture
async def port(monkeypatch):
    monkeypatch.setattr("service.transports.limits.HEADERS_SECONDS", 0.3)
    server = HttpServer(application, connection_idle_seconds=1)
    yield server.start("127.0.0.1", 0)
    await server.stop(0)


@pytest.mark.parametrize(
    ("sent", "status"), [(b"", b""), (WHOLE, b"200"), (PART, b"408"), (WHOLE + PART, b"200"), (UPLOAD, b"200")]
)
async def test_what_is_idle_or_unfinished_is_closed(port: int, sent: bytes, status: bytes):
    """By the clock of a real server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer[9:12] == status
    writer.close()


def pieces(count: int, size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, bytes(size)) * count


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(("count", "size"), [(SMALL_PIECES, 1), (3 * SMALL_PIECES, SMALL_BYTES)])
async def test_a_body_comes_in_pieces(client: Client, count: int, size: int):
    """A thousand of any size, or any number that are not small; on one connection again and again."""
    for _ in range(3):
        assert await client.sends(CHUNKED + pieces(count, size) + b"0\r\n\r\n") == [b"200"]
    assert not client.wire.closed


async def test_a_body_in_many_small_pieces_is_refused_by_a_sentence(client: Client):
    """As soon as there are too many; nothing more of it is read."""
    client.may_answer.clear()
    await client.sends(CHUNKED + pieces(SMALL_PIECES // 2, SMALL_BYTES - 1))
    assert not client.wire.closed
    await client.sends(pieces(100 * SMALL_PIECES, SMALL_BYTES - 1))
    assert client.wire.written.startswith(b"HTTP/1.1 400 ")
    assert b"the body comes in pieces of fewer than 64 bytes, more than 1000 of them" in client.wire.written
    assert client.wire.closed
    client.leaves()
    client.may_answer.set()
    assert await client.sends(b"") == []
