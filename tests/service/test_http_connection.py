"""The HTTP port beside the grpcio front: connections that are silent, slow, or leave their requests unfinished."""

import asyncio
from typing import Any

import pytest

from service.fronts.http_server import HttpServer

WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.8)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def port(monkeypatch):
    monkeypatch.setattr("service.fronts.pending.HEADERS_SECONDS", 0.3)
    server = HttpServer(application)
    yield server.start("127.0.0.1", 0)
    await server.stop(0)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx", b"408"),
        (WHOLE + b"GET / HTTP/1.1\r\n", b"200"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx", b"200"),
    ],
)
async def test_what_is_unfinished_is_closed(port: int, sent: bytes, status: bytes):
    """In the time that headers have, whether a request came before it or not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(3):
        answer = await reader.read()
    assert answer[9:12] == status
    writer.close()


async def test_a_byte_now_and_then_does_not_help(port: int):
    """It is the whole of the headers that has to come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    ended = asyncio.create_task(reader.read())
    async with asyncio.timeout(3):
        while not ended.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
    writer.close()


async def test_an_answer_may_take_longer_than_headers(port: int):
    """And the next request on the same connection is answered as well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()
