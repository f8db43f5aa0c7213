"""A connection that is lost in the middle of an answer: gRPC does not repeat the call, so the client does."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
import numpy as np
import pytest
from digits_client import AsyncDigitsClient, DigitsClient, Unavailable
from hpack import Encoder
from hyperframe.frame import DataFrame, Frame, HeadersFrame, SettingsFrame

IMAGE = np.arange(12, dtype=np.uint8).reshape(4, 3)
PREFACE = 24


@dataclass
class Cutter:
    """A way to a server. It answers the first calls itself, by the headers of an answer, and hangs up."""

    server: int
    listening: socket.socket
    times: int = 0
    cut: list[int] = field(default_factory=list)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.listening.getsockname()[1]}"

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                if len(self.cut) < self.times:
                    self._begin_an_answer(near)
                    continue
                there = socket.create_connection(("127.0.0.1", self.server))
                for ends in ((near, there), (there, near)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()

    def _begin_an_answer(self, near: socket.socket) -> None:
        """Send the headers of an answer to the first call, and close the connection."""
        with near, near.makefile("rb") as stream:
            stream.read(PREFACE)
            near.sendall(SettingsFrame(0).serialize())
            while True:
                frame, length = Frame.parse_frame_header(memoryview(stream.read(9)))
                frame.parse_body(memoryview(stream.read(length)))
                if isinstance(frame, DataFrame) and "END_STREAM" in frame.flags:
                    break
            headers = Encoder().encode([(":status", "200"), ("content-type", "application/grpc")])
            near.sendall(HeadersFrame(frame.stream_id, data=headers, flags=["END_HEADERS"]).serialize())
            self.cut.append(frame.stream_id)
            near.shutdown(socket.SHUT_WR)
            stream.read()


def carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError), source, sink:
        while data := source.recv(65536):
            sink.sendall(data)


@pytest.fixture
def cutter(faulty) -> Iterator[Cutter]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Cutter(faulty.port, listening)
        threading.Thread(target=made.accept, daemon=True).start()
        yield made
        listening.shutdown(socket.SHUT_RDWR)


def test_it_is_repeated(cutter: Cutter):
    """Twice, which nobody sees."""
    cutter.times = 2
    with DigitsClient(cutter.target) as client:
        assert client.classify(b"\1").digit == 1
    assert len(cutter.cut) == 2


async def test_with_asyncio_likewise(cutter: Cutter):
    """By the same rule."""
    cutter.times = 2
    async with AsyncDigitsClient(cutter.target) as client:
        assert (await client.classify(b"\1")).digit == 1
    assert len(cutter.cut) == 2


def test_not_for_ever(cutter: Cutter):
    """A call that ends every server it reaches is given up, and the sentence says how it ended."""
    cutter.times = 10
    with DigitsClient(cutter.target) as client, pytest.raises(Unavailable, match="lost during the call") as caught:
        client.classify(b"\1")
    assert caught.value.interrupted
    assert len(cutter.cut) == 3


def test_a_server_that_gives_up_in_the_middle(faulty):
    """An answer that began and ends with UNAVAILABLE is repeated, too."""

    def give_up(context: grpc.ServicerContext) -> None:
        context.send_initial_metadata((("server", "proxy"),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "the worker has ended")

    faulty.faults += [give_up] * 2
    with DigitsClient(faulty.target) as client:
        assert client.classify(IMAGE + 1).digit == 1
    assert len(faulty.requests) == 3
