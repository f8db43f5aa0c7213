"""How the server is spoken to: paths, channel options, retries and deadlines. Shared by both clients."""

import ipaddress
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypedDict

from digits_client.errors import DeadlineExceeded, DigitsError, Overloaded
from stubs.digits.v1 import digits_pb2 as pb

SERVICE = "digits.v1.DigitsService"

Metadata = Sequence[tuple[str, str | bytes]]

# Pauses before asking an overloaded server again are stretched by up to this part, so that the callers
# who were refused together do not come back together.
_JITTER = 0.2

# gRPC itself repeats calls that found no server, or one that was going away. A full queue is not among them:
# the code RESOURCE_EXHAUSTED also stands for a message that is too large, and would be forever.
#
# A server that nobody hears at all is given up once these are spent, in about 0.7 s.
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
    ("grpc.max_send_message_length", -1),  # the server's limit counts
    ("grpc.use_local_subchannel_pool", 1),  # or several channels would share one connection
    # A server that restarts is found again within a second rather than within two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Against its name no pause, but what a connection has to come about: a server far away, or busy, takes its time.
    ("grpc.min_reconnect_backoff_ms", 5000),
)

# A year; gRPC itself counts no further than a few.
_LONGEST = 365 * 24 * 3600.0

# Kinds of address that gRPC knows beside HOST:PORT, each with something behind its colon.
_SCHEMES = ("dns", "unix", "unix-abstract", "ipv4", "ipv6", "xds")


@dataclass(frozen=True, slots=True)
class Rpc:
    """A unary method of the service."""

    name: str
    response: Any

    @property
    def path(self) -> str:
        """As gRPC calls it."""
        return f"/{SERVICE}/{self.name}"

    def on(self, channel: Any) -> Any:
        """The method to be called on that channel, of threads or of asyncio."""
        return channel.unary_unary(
            self.path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.response.FromString,
        )


CLASSIFY = Rpc("Classify", pb.ClassifyResponse)
LIST_MODELS = Rpc("ListModels", pb.ListModelsResponse)
GET_MODEL = Rpc("GetModel", pb.GetModelResponse)
GET_NETWORK = Rpc("GetNetwork", pb.GetNetworkResponse)


def stream_on(channel: Any) -> Any:
    """ClassifyStream on that channel."""
    return channel.stream_stream(
        f"/{SERVICE}/ClassifyStream",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=pb.ClassifyStreamResponse.FromString,
    )


class Options(TypedDict, total=False):
    """What `classify` can be told beside the images."""

    model: str | None
    version: str | None
    activations: bool
    coverage: float | None
    timeout: float | None


class Deadline:
    """The time a caller grants to one method of the client, whatever calls that takes."""

    def __init__(self, seconds: float, target: str) -> None:
        self.seconds = check_timeout(seconds)
        self._target = target
        self._end = time.monotonic() + self.seconds

    def left(self) -> float:
        """Seconds that are left; raises `DeadlineExceeded` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"no answer from {self._target} within {self.seconds:g} s")
        return left

    def pause(self, error: DigitsError) -> float | None:
        """Seconds to wait before calling again after this error; None when it is final."""
        if not isinstance(error, Overloaded):
            return None
        pause = max(error.retry_after, 0.001) * random.uniform(1, 1 + _JITTER)  # noqa: S311 no secret
        return pause if time.monotonic() + pause < self._end else None


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a client assumes where a call says nothing."""

    target: str
    model: str
    version: str
    timeout: float

    def __post_init__(self) -> None:
        check_target(self.target)
        _check_text("model", self.model)
        _check_text("version", self.version)
        check_timeout(self.timeout)

    def deadline(self, timeout: float | None) -> Deadline:
        """The deadline of a call that was given this timeout."""
        return Deadline(self.timeout if timeout is None else timeout, self.target)

    def named(self, model: str | None, version: str | None) -> tuple[str, str]:
        """The names a request carries; the client's own version belongs to the client's own model alone."""
        for key, value in (("model", model), ("version", version)):
            if value is not None:
                _check_text(key, value)
        if model is None:
            return self.model, self.version if version is None else version
        return model, version or ""

    def request(
        self, model: str | None, version: str | None, activations: bool, coverage: float | None
    ) -> pb.ClassifyRequest:
        """A request without images."""
        name, number = self.named(model, version)
        if coverage is not None:
            _check_coverage(coverage)
        return pb.ClassifyRequest(model=name, version=number, include_activations=activations, coverage=coverage)


def check_timeout(seconds: Any) -> float:
    """The timeout as a float. Raises `TypeError` for what is no number, `ValueError` for one that is no span."""
    if isinstance(seconds, bool) or not issubclass(type(seconds), Real):
        raise TypeError(f"the timeout is {seconds!r}, expected a number of seconds")
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"the timeout is {seconds} s, expected more than 0 and at most {_LONGEST:.0f}, a year")
    return float(seconds)


def _check_coverage(coverage: Any) -> None:
    if isinstance(coverage, bool) or not issubclass(type(coverage), Real):
        raise TypeError(f"the coverage is {coverage!r}, expected a number")
    if not 0 < coverage < 1:
        raise ValueError(f"the coverage is {coverage}, expected more than 0 and less than 1")


def check_target(target: Any) -> None:
    """Raises `TypeError` or `ValueError` for an address that gRPC would take for a broken or an unknown one."""
    if not isinstance(target, str):
        raise TypeError(f"the server's address is {target!r}, expected text like localhost:8001")
    scheme, colon, rest = target.partition(":")
    if scheme in _SCHEMES and colon:
        known = bool(rest.strip("/"))
        if scheme in ("ipv4", "ipv6"):
            known = all(_is_address(each, int(scheme[-1])) for each in rest.split(","))
        elif scheme == "dns":  # dns:HOST:PORT or dns://SERVER/HOST:PORT
            known = _is_host_and_port(rest[2:].partition("/")[2] if rest.startswith("//") else rest)
    else:
        known = _is_host_and_port(target)
    if not known:
        raise ValueError(f"the server's address is {target!r}, expected HOST:PORT, e.g. localhost:8001")


def _is_host_and_port(target: str) -> bool:
    """HOST, HOST:PORT, [IPV6], [IPV6]:PORT or a bare IPV6."""
    if not target.isprintable() or set(target) & set(" /\\?#@,") or target.count(":") > 1:
        return _is_address(target, 6)
    host, colon, port = target.partition(":")
    return bool(host) and not set(host) & set("[]") and (not colon or _is_port(port))


def _is_address(target: str, version: int) -> bool:
    """Whether it is an IP address of that version, with a port or without."""
    host, port = target, "1"
    if version == 4:
        host, colon, port = target.partition(":")
        port = port if colon else "1"
    elif target.startswith("["):
        host, bracket, port = target[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return False
        port = port[1:] if port else "1"
    try:
        return ipaddress.ip_address(host).version == version and _is_port(port)
    except ValueError:
        return False


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536


def _check_text(key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}, expected text")
