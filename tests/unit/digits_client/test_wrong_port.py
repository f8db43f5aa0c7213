"""An address where something else listens: the sentence names it, and the port that was meant."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from digits_client import AsyncDigitsClient, DigitsClient, ServerError, Unavailable
from digits_client.inference import InferenceClient

from tests.support.server import Server

MEANT = "a digits server takes gRPC on port 8001 by default"


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a web server that knows HTTP/1 alone."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def sentences(target: str) -> set[str]:
    """What calls of every kind say of it; all end at once, and by the same error."""
    said = set()
    with DigitsClient(target, timeout=20) as client, InferenceClient(target, timeout=20) as other:
        for call in (client.models, client.health, lambda: client.classify(b"file"), lambda: other.model("", "")):
            with pytest.raises(ServerError) as caught:
                call()
            said.add(str(caught.value))
    return said


def test_the_services_own_port_for_http(server: Server):
    """Where it answers HTTP alone, be it HTTP/1 or HTTP/2."""
    target = f"127.0.0.1:{server.http_port}"
    for sentence in sentences(target):
        assert sentence.startswith(f"{target} is no gRPC server: it answered with HTTP status 4")
        assert sentence.endswith(f"; {MEANT}")


def test_any_web_server(web: str):
    """Whatever status it has for what is no request to it: from Python 3.14 on it is 505."""
    for sentence in sentences(web):
        assert sentence in (
            f"{web} is no gRPC server: it does not speak HTTP/2; {MEANT}",
            f"{web} is no gRPC server: it answered with HTTP status 505; {MEANT}",
        )


def test_a_server_without_tls(server: Server):
    """Where it was to be spoken to by it, on either port."""
    for port in (server.port, server.http_port):
        target, said = f"127.0.0.1:{port}", f"^cannot reach 127.0.0.1:{port}: it does not speak TLS$"
        with (
            DigitsClient(target, credentials=grpc.ssl_channel_credentials(), timeout=20) as client,
            pytest.raises(Unavailable, match=said),
        ):
            client.models()


async def test_the_asyncio_client_says_the_same(web: str):
    """Of calls and of health."""
    async with AsyncDigitsClient(web, timeout=20) as client:
        for call in (client.models, client.health):
            with pytest.raises(ServerError, match=f"{web} is no gRPC server: .*; {MEANT}"):
                await call()
