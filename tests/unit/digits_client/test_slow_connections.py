"""A server that is far away, or busy, takes its time to say the first word."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from digits_client import AsyncDigitsClient, DigitsClient
from digits_client.inference import InferenceClient

from tests.support.server import Server

DELAY_SECONDS = 1.2


@pytest.fixture
def far(server: Server) -> Iterator[str]:
    """An address that leads to the server, by a way on which each of its first words is late."""

    def carry(source: socket.socket, sink: socket.socket, delay: float) -> None:
        with contextlib.suppress(OSError), source, sink:
            time.sleep(delay)
            while data := source.recv(65536):
                sink.sendall(data)

    def accept(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                there = socket.create_connection(("127.0.0.1", server.port))
                for ends in ((near, there, 0.0), (there, near, DELAY_SECONDS)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.front("grpcio")  # the client's side of it is the same
def test_a_connection_that_takes_its_time_comes_about(far: str):
    """Within the timeout of the call: none is given up for the sake of a quick second try."""
    with DigitsClient(far, timeout=20) as client:
        assert client.health()
    with DigitsClient(far, timeout=20) as client:
        assert client.classify(np.zeros((28, 28), np.uint8)).digit in range(10)
    with InferenceClient(far, timeout=20) as other:
        assert other.model("", "").version


@pytest.mark.front("grpcio")
async def test_with_asyncio_likewise(far: str):
    """Health is not repeated, so its one connection must do."""
    async with AsyncDigitsClient(far, timeout=20) as client:
        assert await client.health()
