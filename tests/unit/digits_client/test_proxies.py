"""What the environment says of proxies: never on this machine, and named elsewhere."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from digits_client import AsyncDigitsClient, DeadlineExceeded, DigitsClient, Unavailable
from digits_client.connection.endpoint import proxy_variable
from digits_client.inference import InferenceClient

from scoring import ScorerError
from scoring.scorers.remote import RemoteScorer

IMAGE = np.arange(12, dtype=np.uint8).reshape(4, 3)
VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
ELSEWHERE = "192.0.2.1:8001"  # of the documentation's network: no machine has it


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def dead_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable there is names a proxy that nobody is at."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "elsewhere.example")
    monkeypatch.setenv("GRPC_ADDRESS_HTTP_PROXY", "127.0.0.1:1")
    monkeypatch.setenv("GRPC_ADDRESS_HTTP_PROXY_ENABLED_ADDRESSES", "127.0.0.0/8,::/0")


class Proxy:
    """Reads what asks for a tunnel, says `answer`, and leads to the port `to` where there is one."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.to: int | None = None
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self._held.append(near)
                self.asked.append(near.recv(4096).split(b"\r\n")[0])
                if self.answer is None:
                    continue  # it never says anything
                near.sendall(self.answer)
                if self.to is None:
                    near.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self.to))
                self._held.append(there)
                for ends in ((near, there), (there, near)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def cut(self) -> None:
        """End the tunnels there are."""
        for each in self._held:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self.cut()
        for each in (self._listening, *self._held):
            each.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "ipv4:127.0.0.1", "dns:///localhost"])
async def test_this_machine_is_reached_without_a_proxy(faulty, dead_proxies, host: str):
    """By either client, with calls and streams, whatever form its address has."""
    target = f"{host}:{faulty.port}"
    with DigitsClient(target) as client:
        assert client.classify(IMAGE).digit == 0
        assert [each.digit for each in client.classify_stream([IMAGE])] == [0]
    async with AsyncDigitsClient(target) as client:
        assert (await client.classify(IMAGE)).digit == 0


def test_the_open_inference_protocol_goes_without_one_as_well(server, dead_proxies):
    """As batch jobs speak it."""
    with InferenceClient(server.address) as client:
        assert client.model("", "").name == "mnist-256x128"


@pytest.mark.parametrize(
    "target",
    [
        *("localhost", "localhost.:1", "digits.localhost:1", "ip6-localhost:1", "127.9.9.9:1", "127.1:1", "[::1]:1"),
        *("::1", "[::ffff:127.0.0.1]:1", "0.0.0.0:1", "[::]:1", "unix:/x", "unix:///x", "unix-abstract:x"),
        *("ipv4:127.0.0.1:1,127.0.0.2:2", "ipv6:[::1]:1", "dns:localhost:1", "dns:///localhost:1"),
        *("dns://8.8.8.8/localhost:1", f"{socket.gethostname()}:1"),
    ],
)
def test_names_of_this_machine(dead_proxies, target: str):
    """Loopback in every form, sockets, and its own name."""
    assert proxy_variable(target) == ""


@pytest.mark.parametrize(
    "target",
    [
        *("digits:8001", "localhost.example.com:1", "128.0.0.1:1", "10.0.0.1", "[2001:db8::1]:1", "ipv4:192.0.2.1:1"),
        *("dns:///digits:1", "mylocalhost:1", "ipv4:127.0.0.1:1,192.0.2.1:1"),
    ],
)
def test_names_of_others(monkeypatch: pytest.MonkeyPatch, target: str):
    """A proxy is for these."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert proxy_variable(target) == "http_proxy"


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        ({}, ""),
        ({"http_proxy": "http://p:1"}, "http_proxy"),
        ({"http_proxy": "http://p:1", "https_proxy": "http://q:1"}, "https_proxy"),
        ({"https_proxy": "http://p:1", "grpc_proxy": "http://q:1"}, "grpc_proxy"),
        ({"http_proxy": "http://p:1", "grpc_proxy": ""}, ""),
        ({"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, ""),
        ({"http_proxy": "https://p:1"}, ""),
        ({"http_proxy": "socks5://p:1"}, ""),
        ({"http_proxy": "p:1"}, ""),
        ({"http_proxy": "http://[p"}, ""),
        ({"http_proxy": "http://p:1", "no_proxy": "a.example, Digits.Example"}, ""),
        ({"http_proxy": "http://p:1", "no_proxy": ".example"}, ""),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, ""),
        ({"http_proxy": "http://p:1", "no_proxy": "a.example,,10.0.0.0/8"}, "http_proxy"),
        ({"http_proxy": "http://p:1", "no_proxy": "*", "no_grpc_proxy": "a"}, "http_proxy"),
    ],
)
def test_which_proxy_is_used(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], used: str):
    """The rules are gRPC's: the first variable that is set, `http` alone, and the ends of exempt names."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_variable("digits.example:8001") == used


def test_a_network_is_exempt(monkeypatch: pytest.MonkeyPatch):
    """By its addresses, where the server is named by one."""
    monkeypatch.setenv("http_proxy", "http://p:1")
    monkeypatch.setenv("no_proxy", "10.0.0.0/8")
    assert proxy_variable("10.1.2.3:8001") == ""
    assert proxy_variable("11.1.2.3:8001") == "http_proxy"


def test_a_proxy_is_used_elsewhere(faulty, proxy: Proxy, monkeypatch: pytest.MonkeyPatch):
    """The call goes through its tunnel."""
    proxy.answer, proxy.to = b"HTTP/1.1 200 OK\r\n\r\n", faulty.port
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    with DigitsClient(ELSEWHERE) as client:
        assert client.classify(IMAGE).digit == 0
    assert proxy.asked == [f"CONNECT {ELSEWHERE} HTTP/1.1".encode()]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"SSH-2.0-x\r\n", b""])
async def test_a_proxy_that_fails_is_named(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, answer: bytes):
    """With its variable and without its password, by each client and each kind of call."""
    proxy.answer = answer
    monkeypatch.setenv("https_proxy", f"http://user:secret@{proxy.address}")
    place = f"{ELSEWHERE} through the proxy {proxy.address} (https_proxy; no_proxy exempts hosts)"
    said = []
    with DigitsClient(ELSEWHERE) as client, InferenceClient(ELSEWHERE) as other:
        for call in (client.models, client.health, lambda: list(client.classify_stream([IMAGE])), other.regions):
            with pytest.raises(Unavailable) as caught:
                call()
            said.append(str(caught.value))
    async with AsyncDigitsClient(ELSEWHERE) as client:
        with pytest.raises(Unavailable) as caught:
            await client.health()
        said.append(str(caught.value))
    assert all(each.startswith(f"cannot reach {place}: ") for each in said)
    assert not any("secret" in each for each in said)
    assert max(map(len, said)) <= 300


def test_a_proxy_that_says_nothing_is_named(proxy: Proxy, monkeypatch: pytest.MonkeyPatch):
    """By the call whose time is over."""
    monkeypatch.setenv("grpc_proxy", f"http://{proxy.address}")
    with DigitsClient(ELSEWHERE, timeout=0.3) as client, pytest.raises(DeadlineExceeded, match=proxy.address):
        client.health()


@pytest.mark.front("grpcio")
def test_a_batch_job_whose_proxy_goes_silent_names_it(server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch):
    """When its patience is over."""
    proxy.answer, proxy.to = b"HTTP/1.1 200 OK\r\n\r\n", server.port
    monkeypatch.setenv("grpc_proxy", f"http://{proxy.address}")
    rows, digits, scores = np.zeros((2, 784), np.uint8), np.zeros(2, np.int64), np.zeros((2, 10), np.float32)
    with RemoteScorer(ELSEWHERE, retry_timeout=3) as scorer:
        scorer.score(rows, digits, scores)
        proxy.answer = None
        proxy.cut()
        with pytest.raises(ScorerError, match=f"through the proxy {proxy.address} .* gave no answer for 3 s"):
            scorer.score(rows, digits, scores)


def test_a_dead_proxy_is_named(dead_proxies):
    """Not the server, whose connection was not tried."""
    with DigitsClient(ELSEWHERE) as client, pytest.raises(Unavailable, match=r"through the proxy 127\.0\.0\.1:1 "):
        client.health()
