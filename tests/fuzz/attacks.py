"""Attacks on one server, each over a connection of its own, and what is wrong with its answers."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

from hpack import Decoder, Encoder
from hyperframe.frame import PingFrame

from tests.fuzz.breaking import HEAD, broken_http1, broken_http2
from tests.fuzz.mutations import Chance, mutated, mutated_frame, mutated_headers, mutated_json
from tests.fuzz.rest_calls import wrong_request
from tests.fuzz.traffic import ENCODED, ON_HTTP, headers, request, settings
from tests.support.processes import ROOT

SECONDS = 20.0
"""In which a connection must have been answered or closed."""
CALLS = 50
"""Over one connection."""

# What an answer must never hold. An INTERNAL answer is right for frames that are none, and says so.
_LEAKS = re.compile(
    rb'Traceback|site-packages|File "|internal error|Unexpected <class| at 0x|' + re.escape(str(ROOT).encode())
)
_MALFORMED = (
    "the request ended",
    "the request holds",
    "a message ",
    "compress",
    "frame",
    "message",
    "metadata",
    "header",
)


class Wrong(Exception):
    """The server did what it must not do."""


@asynccontextmanager
async def _connection(
    port: int, about: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await _connected(port)
            try:
                yield reader, writer
            except (OSError, asyncio.IncompleteReadError):
                pass  # closed, which is an answer
            finally:
                writer.transport.abort()
    except TimeoutError:
        sentence = f"a connection was neither answered nor closed within {SECONDS:.0f} seconds"
        raise Wrong(f"{sentence}: {about[:3000].hex()}") from None


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection; refused are those that come while grpc's server begins again."""
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)


def check(said: bytes, about: bytes) -> None:
    """Raise `Wrong` when an answer tells what it must not."""
    if found := _LEAKS.search(said):
        raise Wrong(f"an answer holds {found[0]!r}: {said[:500]!r}\nto {about[:2000]!r}")


async def calls(chance: Chance, port: int, count: int) -> int:
    """Wrong gRPC calls, each a stream of its own; all of them must end. Returns how many were sent."""
    count = min(count, CALLS)
    encoder, sent = Encoder(), {}
    out = [settings()]
    for index in range(count):
        stream = 2 * index + 1
        fields, body, what = wrong_call(chance)
        block = encoder.encode(fields, huffman=False)
        padding = chance.choice([0, 0, 0, 1, 255])
        frames = request(stream, block, body, padding=padding)
        out.append(b"".join(frame.serialize() for frame in frames))
        if _whole(body):
            sent[stream] = what
    try:
        async with _connection(port) as (reader, writer):
            writer.write(b"".join(out))
            await until_ended(reader, writer, sent)
    except Wrong as wrong:
        raise Wrong(f"{wrong}, unanswered: {list(sent.values())[:3]}") from None
    return count


def _whole(body: bytes) -> bool:
    """Whether a message is whole: grpc's own server does not answer a unary call that has none until it is left."""
    return len(body) >= 5 and len(body) >= 5 + int.from_bytes(body[1:5], "big")


def wrong_call(chance: Chance) -> tuple[list[tuple[bytes, bytes]], bytes, bytes]:
    """Headers, body, and both for people."""
    path, message = chance.choice(ENCODED)
    fields = headers(path)
    body = b"\0" + len(message).to_bytes(4, "big") + message
    kind = chance.randrange(10)
    if kind < 6:
        message = mutated(chance, message)
        body = b"\0" + len(message).to_bytes(4, "big") + message
    elif kind < 8:
        body = mutated_frame(chance, message)
        if chance.random() < 0.3:
            fields.append((b"grpc-encoding", chance.choice([b"gzip", b"deflate"])))
    if kind >= 8:
        # A path that is no UTF-8 ends grpc's server: too slow to do often. See
        # tests/unit/service/transports/test_grpcio.py.
        fields = [
            (key, value.decode("ascii", "replace").encode() if key == b":path" else value)
            for key, value in mutated_headers(chance, fields)
        ]
    return fields, body, repr((fields, body)).encode()


async def until_ended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: dict[int, bytes]) -> None:
    """Read until every stream has ended or the connection has."""
    decoder = Decoder(max_header_list_size=2**24)
    block = b""
    while sent:
        head = await reader.readexactly(HEAD)
        size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
        payload = await reader.readexactly(size)
        about = sent.get(stream, b"")
        if kind == 0:
            check(payload, about)
        elif kind in (1, 9):
            assert not flags & 0x28, "padding and priorities are not expected of a server"
            block += payload
            if flags & 4:
                _check_headers(dict(decoder.decode(block, raw=True)), about)
                block = b""
        elif kind == 6 and not flags & 1:
            writer.write(PingFrame(0, payload, flags=["ACK"]).serialize())
        elif kind == 7:
            check(payload, about)
        if kind == 3 or (kind in (0, 1) and flags & 1):
            sent.pop(stream, None)


def _check_headers(fields: dict[bytes, bytes], about: bytes) -> None:
    message = unquote(fields.get(b"grpc-message", b"").decode("latin-1"))
    check(message.encode(), about)
    code = fields.get(b"grpc-status", b"0")
    if code == b"2" or (code == b"13" and not any(word in message.lower() for word in _MALFORMED)):
        raise Wrong(f"status {code.decode()}, {message!r}\nto {about[:2000]!r}")
    if fields.get(b":status", b"200").startswith(b"5") and b"grpc-status" not in fields:
        raise Wrong(f"HTTP {fields}\nto {about[:2000]!r}")


async def connections(chance: Chance, port: int, count: int) -> int:
    """One connection of broken HTTP, half closed at its end: it must be closed."""
    return await _closed(port, broken_http2(chance))


async def http_connections(chance: Chance, port: int, count: int) -> int:
    """The same on the HTTP port."""
    return await _closed(port, broken_http1(chance))


async def _closed(port: int, data: bytes) -> int:
    said = b""
    async with _connection(port, data) as (reader, writer):
        writer.write(data)
        writer.write_eof()
        while piece := await reader.read(2**16):
            said += piece
    check(said, data)
    return 1


async def http_calls(chance: Chance, port: int, count: int) -> int:
    """Wrong calls over HTTP/1.1, one after the other."""
    done = 0
    while done < min(count, CALLS):
        async with _connection(port) as (reader, writer):
            for body, media in _http_bodies(chance, min(count, CALLS) - done):
                done += 1
                path = chance.choice(ON_HTTP)[0].encode()
                head = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: %b\r\ncontent-length: %d\r\n" % (
                    path,
                    media,
                    len(body),
                )
                extra = chance.choice(
                    [b""] * 8
                    + [
                        b"content-encoding: gzip\r\n",
                        b"connect-timeout-ms: x\r\n",
                        b"connect-timeout-ms: 1\r\n",
                        b"connect-protocol-version: 9\r\n",
                        b"grpc-timeout: x\r\n",
                        b"grpc-encoding: gzip\r\n",
                        b"accept-encoding: br\r\n",
                    ]
                )
                writer.write(head + extra + b"\r\n" + body)
                if not await _answer(reader, head + extra + body):
                    break
    return done


async def rest_calls(chance: Chance, port: int, count: int) -> int:
    """Wrong calls of the Open Inference Protocol over REST, one after the other."""
    done = 0
    while done < min(count, CALLS):
        async with _connection(port) as (reader, writer):
            while done < min(count, CALLS):
                done += 1
                request = wrong_request(chance)
                writer.write(request)
                if not await _answer(reader, request):
                    break
    return done


def _http_bodies(chance: Chance, count: int) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(count):
        _, message, shown = chance.choice(ON_HTTP)
        kind = chance.randrange(5)
        if kind < 3:
            yield mutated_json(chance, shown), b"application/json"
        elif kind == 3:
            yield mutated(chance, message), b"application/proto"
        else:
            media = chance.choice(
                [b"application/grpc-web", b"application/grpc-web+proto", b"application/grpc-web+json"]
            )
            yield mutated_frame(chance, message), media


async def _answer(reader: asyncio.StreamReader, about: bytes) -> bool:
    """Read one answer; returns whether another may follow."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100 "):
        head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    fields = {}
    for line in head.lower().split(b"\r\n")[1:-2]:
        name, _, value = line.partition(b":")
        fields[name] = value.strip()
    if b"content-length" in fields:
        body = await reader.readexactly(int(fields[b"content-length"]))
    else:
        assert fields.get(b"transfer-encoding") == b"chunked", head
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    check(head + body, about)
    if status >= 500 and status not in (501, 503, 504):
        raise Wrong(f"HTTP {status}: {body[:500]!r}\nto {about[:2000]!r}")
    return fields.get(b"connection") != b"close"
