"""By what address this machine reaches what listens."""

import socket

import pytest

from service.transports.sockets import ListenError, hold, page_address, probe, reached


@pytest.mark.parametrize(
    ("host", "address"),
    [
        *(("0.0.0.0", "localhost:8001"), ("0", "localhost:8001"), ("::", "localhost:8001"), ("[::]", "localhost:8001")),
        *(("0:0:0:0:0:0:0:0", "localhost:8001"), ("127.0.0.1", "127.0.0.1:8001"), ("::1", "[::1]:8001")),
        *(("[::1]", "[::1]:8001"), ("192.0.2.1", "192.0.2.1:8001"), ("digits.example", "digits.example:8001")),
    ],
)
def test_all_addresses_are_reached_by_loopback(host: str, address: str):
    """And one that is named, by itself; the page likewise."""
    assert reached(host, 8001) == address
    assert page_address(host, 8001, tls=True) == f"https://{address}/"


def test_a_port_that_is_held_is_for_those_alone_that_share_it():
    """A plain server and a second holder are refused, before the workers listen, meanwhile and afterwards."""

    def refused() -> None:
        for take in (probe, hold):
            with pytest.raises(ListenError, match=rf"127.0.0.1:{port} \(--port\): Address already in use"):
                take("127.0.0.1", port, "--port")

    with hold("127.0.0.1", 0, "--port") as held:
        port = held.getsockname()[1]
        refused()
        for _ in range(2):
            with socket.socket() as one, socket.socket() as other:
                for worker in (one, other):
                    worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    worker.bind(("127.0.0.1", port))
                    worker.listen()
                refused()
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            refused()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
    probe("127.0.0.1", port, "--port")
