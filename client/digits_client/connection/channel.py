"""Paths of the RPCs, channel options, retries and deadlines."""

import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from digits_protocol.digits.v1 import digits_pb2 as pb

from digits_client.errors import DeadlineExceeded, DigitsError, Overloaded, Unavailable

SERVICE = "digits.v1.DigitsService"

Metadata = Sequence[tuple[str, str | bytes]]

# Retries after a full queue wait longer by a random part up to this, so that callers rejected together do not return
# together.
_JITTER = 0.2

# gRPC does not repeat a call whose answer had begun. All calls can be repeated, so the client repeats such a call this
# many times.
_INTERRUPTIONS = 2

# gRPC repeats calls that found no server or one that shuts down. It must not repeat RESOURCE_EXHAUSTED: the code also
# stands for a message that is too large.
#
# If no server listens, the attempts take about 0.7 s.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": SERVICE}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", -1),  # the server has a limit
    ("grpc.use_local_subchannel_pool", 1),  # else several channels would share one connection
    # A client finds a restarted server within a second instead of two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Despite its name this is the timeout of a connection attempt: a distant or busy server takes long.
    ("grpc.min_reconnect_backoff_ms", 5000),
)

# A year; gRPC overflows at a few.
_LONGEST = 365 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Rpc:
    """A unary method of the service."""

    name: str
    response: Any

    @property
    def path(self) -> str:
        """The path of the method in gRPC."""
        return f"/{SERVICE}/{self.name}"

    def on(self, channel: Any) -> Any:
        """The method on a channel of `grpc` or `grpc.aio`; bytes in, bytes out.

        The caller parses the response: gRPC would only log an invalid one, and with asyncio return None.
        """
        return channel.unary_unary(self.path)


CLASSIFY = Rpc("Classify", pb.ClassifyResponse)
READ = Rpc("Read", pb.ReadResponse)
LIST_MODELS = Rpc("ListModels", pb.ListModelsResponse)
GET_MODEL = Rpc("GetModel", pb.GetModelResponse)
GET_NETWORK = Rpc("GetNetwork", pb.GetNetworkResponse)
GET_LEARNING = Rpc("GetLearning", pb.GetLearningResponse)
EXPLAIN = Rpc("Explain", pb.ExplainResponse)
RPCS = (CLASSIFY, READ, LIST_MODELS, GET_MODEL, GET_NETWORK, GET_LEARNING, EXPLAIN)


def stream_on(channel: Any) -> Any:
    """ClassifyStream on that channel; bytes in, bytes out."""
    return channel.stream_stream(f"/{SERVICE}/ClassifyStream")


class Deadline:
    """The time of one method of the client, however many RPCs it makes."""

    def __init__(self, seconds: float, place: str) -> None:
        """`place` names the server in error sentences."""
        self.seconds = check_timeout(seconds)
        self._place = place
        self._end = time.monotonic() + self.seconds
        self._interruptions = 0

    def left(self) -> float:
        """The remaining seconds; raises `DeadlineExceeded` if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"no answer from {self._place} within {self.seconds:g} s")
        return left

    def pause(self, error: DigitsError) -> float | None:
        """Seconds to wait before a retry after this error; None for no retry."""
        if isinstance(error, Overloaded):
            pause = max(error.retry_after, 0.001)
        elif isinstance(error, Unavailable) and error.interrupted and self._interruptions < _INTERRUPTIONS:
            self._interruptions += 1
            pause = 0.1
        else:
            return None
        pause *= random.uniform(1, 1 + _JITTER)  # noqa: S311 no secret
        return pause if time.monotonic() + pause < self._end else None


def check_timeout(seconds: Any) -> float:
    """The timeout as a float. Raises `TypeError` for another type than a number, `ValueError` out of range."""
    if isinstance(seconds, bool) or not issubclass(type(seconds), Real):
        raise TypeError(f"the timeout is {seconds!r}, expected a number of seconds")
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"the timeout is {seconds} s, expected more than 0 and at most {_LONGEST:.0f}, a year")
    return float(seconds)


def check_share(name: str, share: Any) -> None:
    """Raises `TypeError` for a value that is not a number, `ValueError` for one that is not between 0 and 1."""
    if isinstance(share, bool) or not issubclass(type(share), Real):
        raise TypeError(f"{name} is {share!r}, expected a number")
    if not 0 < share < 1:
        raise ValueError(f"{name} is {share}, expected more than 0 and less than 1")


def check_position(name: str, position: Any) -> None:
    """Raises `TypeError` for a position that is no whole number, `ValueError` for one that no class can have."""
    if isinstance(position, bool) or not issubclass(type(position), Integral):
        raise TypeError(f"{name} is {position!r}, expected the position of a class, a whole number")
    if not 0 <= position < 2**32:
        raise ValueError(f"{name} is {position}, expected the position of a class, 0 or more")


def check_metadata(metadata: tuple[Any, ...]) -> None:
    """Raises `TypeError` or `ValueError` for metadata that gRPC rejects. No error shows a value: it may be secret."""
    for pair in metadata:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"metadata holds a {type(pair).__name__}, expected pairs of a key and a value")
        key, value = pair
        if not isinstance(key, str) or not re.fullmatch("[0-9a-z_.-]+", key):
            raise ValueError(f"the key {key!r} in metadata is invalid, expected only a-z, 0-9, '_', '.' and '-'")
        if not isinstance(value, bytes if key.endswith("-bin") else str | bytes):
            raise TypeError(f"the value of {key} in metadata is a {type(value).__name__}, expected bytes or text")
        text = value.encode() if isinstance(value, str) else value
        if not key.endswith("-bin") and not re.fullmatch(rb"[ -~]*", text):
            raise ValueError(
                f"the value of {key} in metadata is not text, expected printable ASCII, or a key that ends in -bin"
            )


def check_text(key: str, value: Any) -> None:
    """Raises `TypeError` for a value that is not text, `ValueError` for text that UTF-8 cannot encode."""
    if not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{key} is {value!r}, expected text that UTF-8 can encode") from None
