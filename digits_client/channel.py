"""How the server is spoken to: paths, channel options, retries and deadlines. Shared by both clients."""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


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
    timeout: float | None


class Deadline:
    """The time a caller grants to one method of the client, whatever calls that takes."""

    def __init__(self, seconds: float, target: str) -> None:
        if not seconds > 0:
            raise ValueError(f"the timeout is {seconds!r}, expected seconds above 0")
        self.seconds = seconds
        self._target = target
        self._end = time.monotonic() + seconds

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

    def deadline(self, timeout: float | None) -> Deadline:
        """The deadline of a call that was given this timeout."""
        return Deadline(self.timeout if timeout is None else timeout, self.target)

    def named(self, model: str | None, version: str | None) -> tuple[str, str]:
        """The names a request carries; the client's own version belongs to the client's own model alone."""
        if model is None:
            return self.model, self.version if version is None else version
        return model, version or ""

    def request(self, model: str | None, version: str | None, activations: bool) -> pb.ClassifyRequest:
        """A request without images."""
        name, number = self.named(model, version)
        return pb.ClassifyRequest(model=name, version=number, include_activations=activations)
