"""By what address this machine reaches what listens."""

import pytest

from service.transports.sockets import page_address, reached


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
