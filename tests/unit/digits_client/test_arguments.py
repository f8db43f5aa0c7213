"""Timeouts, names and addresses that cannot be what they should are refused before anything is sent."""

from fractions import Fraction

import numpy as np
import pytest
from digits_client import AsyncDigitsClient, DigitsClient
from digits_client.inference import InferenceClient

IMAGE = np.arange(12, dtype=np.uint8).reshape(4, 3)
TIMEOUTS = [0, -1, float("inf"), float("nan"), 1e18, np.float32("inf"), 10**400]


@pytest.mark.parametrize("timeout", TIMEOUTS)
@pytest.mark.parametrize("kind", [DigitsClient, AsyncDigitsClient])
def test_a_timeout_is_a_span_of_time(kind: type, timeout: float):
    """Nothing, no end and no number are refused where they are given, with what is expected."""
    with pytest.raises(ValueError, match="expected more than 0 and at most 31536000, a year"):
        kind("localhost:1", timeout=timeout)


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_timeout_of_a_call_likewise(faulty, timeout: float):
    """Every method says so before anything is sent."""
    with DigitsClient(faulty.target) as client:
        calls = (
            lambda: client.classify(IMAGE, timeout=timeout),
            lambda: next(client.classify_stream([IMAGE], timeout=timeout)),
            lambda: client.models(timeout=timeout),
            lambda: client.health(timeout=timeout),
        )
        for call in calls:
            with pytest.raises(ValueError, match="expected more than 0"):
                call()
    assert not faulty.requests


@pytest.mark.parametrize("timeout", [None, "5", True, 1j])
def test_a_timeout_is_a_number(timeout: object):
    """Text, and truth, are no seconds."""
    with pytest.raises(TypeError, match="expected a number of seconds"):
        DigitsClient("localhost:1", timeout=timeout)


@pytest.mark.parametrize("timeout", [3, 2.5, np.float32(2.5), np.int64(3), Fraction(5, 2), 31_536_000])
def test_numbers_of_any_kind_are_timeouts(faulty, timeout: float):
    """Whatever Python takes for a real number, up to a year, which gRPC can count."""
    with DigitsClient(faulty.target, timeout=timeout) as client:
        assert client.classify(IMAGE).digit == 0


@pytest.mark.parametrize("coverage", [0, 1, -0.5, 99, float("nan")])
def test_a_coverage_is_a_share(faulty, coverage: float):
    """All, none and percents are refused before anything is sent, where protobuf would take 0 for the default."""
    with DigitsClient(faulty.target) as client:
        with pytest.raises(ValueError, match="expected more than 0 and less than 1"):
            client.classify(IMAGE, coverage=coverage)
        with pytest.raises(TypeError, match=r"the coverage is .*, expected a number"):
            client.classify(IMAGE, coverage="0.9")
        client.classify(IMAGE, coverage=Fraction(9, 10))
        client.classify(IMAGE)
    assert [request.coverage for request in faulty.requests] == [0.9, 0]


async def test_a_coverage_goes_with_each_message_of_a_stream(faulty):
    """With threads and with asyncio."""
    with DigitsClient(faulty.target) as client:
        list(client.classify_stream([IMAGE, IMAGE], coverage=0.8))
    async with AsyncDigitsClient(faulty.target) as client:
        assert [result.digit async for result in client.classify_stream([IMAGE, IMAGE], coverage=0.9)] == [0, 0]
    assert [request.coverage for request in faulty.requests] == [0.8, 0.8, 0.9, 0.9]


@pytest.mark.parametrize("names", [{"model": 3}, {"version": 2}, {"model": b"small"}, {"version": ["1"]}])
def test_names_are_text(faulty, names: dict):
    """A number for a version, and anything else that is no text, is named; by the client and by each call."""
    words = f"{next(iter(names))} is .*, expected text"
    with pytest.raises(TypeError, match=words):
        DigitsClient("localhost:1", **names)
    with pytest.raises(TypeError, match=words):
        AsyncDigitsClient("localhost:1", **names)
    with DigitsClient(faulty.target) as client:
        with pytest.raises(TypeError, match=words):
            client.classify(IMAGE, **names)
        with pytest.raises(TypeError, match="service is 3, expected text"):
            client.health(3)


@pytest.mark.parametrize(
    "target",
    [
        *("", " ", ":", "localhost:", ":8001", "http://x", "http://x:80/", "host:99999", "host:0", "host:http"),
        *("a b:80", "a\nb:80", "x:y:z", "[::1", "[::1]:", "[::1]:0", "[::1]x", "[x]:80", "dns:", "dns:///"),
        *("dns://x", "dns:///host:99999", "unix:", "ipv4:1", "ipv4:1.2.3.4:0", "ipv6:::g", "user@host:80"),
    ],
)
@pytest.mark.parametrize("kind", [DigitsClient, AsyncDigitsClient])
def test_an_address_that_cannot_be_one(kind: type, target: str):
    """What gRPC would fail on with a trace is refused with the address and what is expected."""
    with pytest.raises(ValueError, match=r"the server's address is .*, expected HOST:PORT, e\.g\. localhost:8001"):
        kind(target)


@pytest.mark.parametrize(
    "target",
    [
        *("localhost:8001", "localhost", "10.0.0.1:80", "a-b.c_d.example:65535", "[::1]:8001", "[::1]", "::1"),
        *("dns:host:80", "dns:///host:80", "dns://8.8.8.8/host:80", "unix:/tmp/x", "unix:///tmp/x", "unix:x"),
        *("ipv4:127.0.0.1:1,127.0.0.2:2", "ipv6:[::1]:1", "unix-abstract:x"),
    ],
)
def test_addresses_that_grpc_knows(target: str):
    """Hosts, numbers and sockets, as gRPC names them."""
    DigitsClient(target).close()


def test_an_address_is_text():
    """A port alone, or a pair, is no address."""
    with pytest.raises(TypeError, match="expected text like localhost:8001"):
        DigitsClient(8001)


@pytest.mark.parametrize(
    "metadata",
    [
        *([("Authorization", "secret")], [("a b", "secret")], [("", "secret")], [("authorization", "secret\n")]),
        *([("authorization", "sécret")], [("authorization", 3)], [("x-bin", "secret")], ["secret"], "secret"),
        *({"authorization": "secret"}, [("authorization",)], [(b"authorization", "secret")], None),
    ],
)
@pytest.mark.parametrize("kind", [DigitsClient, AsyncDigitsClient, InferenceClient])
def test_metadata_that_grpc_would_refuse(kind: type, metadata: object):
    """Is refused where it is given, and its values, which may be secret, are not shown."""
    with pytest.raises((TypeError, ValueError)) as caught:
        kind("localhost:1", metadata=metadata)
    assert "secret" not in str(caught.value)


def test_metadata_that_grpc_takes(faulty):
    """Text, bytes, and bytes of any kind under a key that says so."""
    with DigitsClient(faulty.target, metadata=iter([("a", "b"), ("c-d.e_1", b"f"), ("x-bin", b"\0")])) as client:
        assert client.classify(IMAGE).digit == client.classify(IMAGE + 1).digit - 1


@pytest.mark.parametrize(
    "options",
    [
        {"channels": 0},
        {"channels": "3"},
        {"channels": 1.5},
        {"credentials": "tls"},
        {"server_name": 3},
        {"model": "\ud800"},
    ],
)
@pytest.mark.parametrize("kind", [DigitsClient, AsyncDigitsClient])
def test_options_that_cannot_be(kind: type, options: dict):
    """Are named where they are given."""
    with pytest.raises((TypeError, ValueError), match=f"^{next(iter(options))} is "):
        kind("localhost:1", **options)


@pytest.mark.parametrize("options", [{"explained_class": -1}, {"changed_class": 2**32}, {"explained_class": 3.0}])
def test_a_class_is_a_position(options: dict):
    """It is named, and no server is asked."""
    with (
        DigitsClient("localhost:1") as client,
        pytest.raises((TypeError, ValueError), match=f"^{next(iter(options))} is .*, expected the position of a class"),
    ):
        client.explain(b"image", **options)
