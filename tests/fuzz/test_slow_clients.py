"""Clients that are slow, silent, or do not read: others are served meanwhile."""

import asyncio
import resource
from contextlib import suppress

import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

from tests.fuzz.attacks import until_ended
from tests.fuzz.traffic import PREFACE, headers, request, settings
from tests.support.server import STEM, Server, StartServer, Stub

IDLE = 2000
REQUEST = pb.ClassifyRequest(model="digits-8x8", pixels=bytes(64))
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def target(start_for_module: StartServer) -> Server:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < IDLE + 500:
        pytest.fail(f"{most} open files are allowed, fewer than the test needs")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))
    return start_for_module()


async def connect(port: int, count: int, data: bytes = b"") -> list[Pair]:
    pairs = []
    for _ in range(count):
        pairs.append(await asyncio.open_connection("127.0.0.1", port, limit=1000))
        pairs[-1][1].write(data)
    return pairs


async def serves(server: Server) -> None:
    """Good calls by both ports, on new connections."""

    def ask() -> None:
        with server.channel() as channel:
            for _ in range(5):
                assert len(Stub(channel).classify(REQUEST, timeout=20, wait_for_ready=True).predictions) == 1
        body = REQUEST.SerializeToString()
        assert server.http(STEM + "Classify", body, content_type="application/proto")[0] == 200

    await asyncio.to_thread(ask)


def leave(pairs: list[Pair]) -> None:
    for _, writer in pairs:
        writer.transport.abort()


def opened(stream: int, body: bytes, encoder: Encoder, method: str = "ClassifyStream") -> bytes:
    head = HeadersFrame(stream, encoder.encode(headers(STEM + method)), flags=["END_HEADERS"])
    return head.serialize() + DataFrame(stream, body).serialize()


async def test_two_thousand_idle_connections(target: Server):
    """Half of them say nothing at all, the others hello; on both ports."""
    pairs = await connect(target.port, IDLE // 2) + await connect(target.port, IDLE // 4, settings())
    pairs += await connect(target.http_port, IDLE // 4)
    await serves(target)
    leave(pairs)
    await serves(target)


async def test_slow_senders(target: Server):
    """One byte at a time of the preface, of headers, of a message, of JSON."""
    encoder = Encoder()
    call = settings() + opened(1, b"\0\0\0\0\x50" + bytes(80), encoder)
    json = f"POST {STEM}Classify HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n".encode() + b"{" * 100
    pairs = [(await connect(target.port, 20), call), (await connect(target.http_port, 20), json)]
    for at in range(0, len(call), 8):
        for some, data in pairs:
            for _, writer in some:
                writer.write(data[at : at + 1])
        if at % 64 == 0:
            await serves(target)
    for some, _ in pairs:
        leave(some)
    await serves(target)


@pytest.mark.parametrize("path", [b"/\xff", b"/%ff", b"/\xc3(", b"/%C3%28", b"/\xf0\x9f"])
async def test_a_path_that_is_no_utf8(target: Server, path: bytes):
    """Is answered, or its connection closed, and nothing is logged as an error."""
    fields = [(name, path if name == b":path" else value) for name, value in headers("/")]
    frames = request(1, Encoder().encode(fields), b"\0\0\0\0\0")
    [(reader, writer)] = await connect(target.port, 1, settings() + b"".join(frame.serialize() for frame in frames))
    async with asyncio.timeout(20):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await until_ended(reader, writer, {1: path})
    await serves(target)
    writer.transport.abort()
    assert not [line for line in target.lines if line["level"] == "error"]


async def test_half_open_connections(target: Server):
    """Clients that end their half within a request, and keep the other."""
    encoder = Encoder()
    call = settings() + opened(1, b"\0\0\0\0\x50" + bytes(8), encoder)
    pairs = await connect(target.port, 50, call) + await connect(target.http_port, 50, b"POST / HTTP/1.1\r\n")
    for _, writer in pairs:
        writer.write_eof()
    await serves(target)
    leave(pairs)


async def test_streams_that_are_never_read(target: Server):
    """Windows of nothing: the answers to what was asked wait there, and only a bounded part of it is read."""
    message = pb.ClassifyStreamRequest(request=REQUEST).SerializeToString()
    body = (b"\0" + len(message).to_bytes(4, "big") + message) * 100
    start = PREFACE + SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}).serialize()
    before = target.resident_mib()
    pairs = []
    for _ in range(4):
        encoder = Encoder()
        streams = b"".join(opened(1 + 2 * index, body[:12_000], encoder) for index in range(5))
        pairs += await connect(target.port, 1, start + streams)
    for _ in range(3):
        await serves(target)
        await asyncio.sleep(0.2)
    assert target.resident_mib() < before + 150
    leave(pairs)
    await serves(target)
    assert not [line for line in target.lines if line["level"] == "error"]
