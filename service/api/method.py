"""An RPC is a value, and a front is a loop over such values."""

from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from google.protobuf.message import Message

from engine.statistics import Calls


class Kind(Enum):
    """The shape of an RPC on the wire."""

    UNARY = "unary"
    """One message in, one out."""
    STREAM = "stream"
    """A stream of messages in, a stream out. One message in is a stream of one."""


@dataclass(slots=True, eq=False)
class Call:
    """All that a handler knows of the outside."""

    metadata: Mapping[str, str | bytes] = field(default_factory=dict)
    """What the client sent along, keys in lower case."""
    deadline: float | None = None
    """When the client stops waiting, in seconds of `time.monotonic`."""
    peer: str = ""
    """The client's address, for limits and logs."""
    identity: str | None = None
    """Who the credentials say it is."""
    admitted: bool = False
    """Whether it has passed `service.api.middleware.auth`."""
    trailers: dict[str, str | bytes] = field(default_factory=dict)
    """What the handler wants sent at the end."""
    calls: Calls | None = None
    """Where the call is counted when it ends; a handler that finds a model puts the model's here. Of a stream:
    where its messages are counted that find none."""
    began: int = 0
    """When its handler was entered, by `time.perf_counter_ns`."""


# A request is of Method.request's type, an answer of Method.response's; the table mixes them all.
UnaryHandler = Callable[[Any, Call], Awaitable[Message]]
FastPathHandler = Callable[[bytes, int, Call], "Future[bytes] | None"]
StreamHandler = Callable[[AsyncIterator[Any], Call], AsyncIterator[Message]]


@dataclass(slots=True)
class Counts:
    """What became of the calls of one method."""

    calls: Calls = field(default_factory=Calls)
    """Those that are of no model, or found none; of a stream, all."""
    messages: Calls = field(default_factory=Calls)
    """Messages of its streams that found no model."""
    in_flight: int = 0
    """Calls whose handler was entered and has not ended."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """What a call changes beyond its answer, so that every process that serves has to do it."""

    key: tuple[str, ...]
    """The thing, such as ("model", "mnist-16x16"), or with fewer names all things that begin with them.
    What is known of an earlier change about it is void."""
    replay: bool
    """Whether a process that starts later has to do it too; else it is as if nothing had ever been changed."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC."""

    path: str
    """`/digits.v1.DigitsService/Classify`"""
    request: type[Message]
    response: type[Message]
    kind: Kind
    handler: UnaryHandler | StreamHandler
    """Takes (message, Call) and returns the answer; for a stream, an async generator over messages.
    Raises the errors of `engine.errors`, which `service.api.errors` translates."""
    fast_path: FastPathHandler | None = None
    """Answers the request that lies in the bytes from that place on, by a future of the serialized answer and as
    `handler` would, without making messages; None for a request that is out of the ordinary or wrong, which
    `handler` shall then take. For a front that has bytes in hand: it calls `ended` when the future is done."""
    ended: Callable[[Call, BaseException | None], None] = lambda call, error: None
    """Counts a call that was answered quickly, or ended with an error."""
    identify: Callable[[Call], None] | None = None
    """Finds out whose call it is, for a front to do once the headers have come, before anything else of the call is
    waited for. Raises `NotAuthenticated`. None where anyone may call."""
    reserved: bool = False
    """Whether its calls have room of their own, since anyone may make them or they never end: so they cannot take
    that of the others."""
    change: Callable[[Any], Mutation] | None = None
    """What a request changes; None where calls change nothing."""
    counts: Counts = field(default_factory=Counts, compare=False)

    def refused(self, reason: Exception | str) -> None:
        """Count a call that a front ends before its handler is entered, with an error or the name of a status."""
        self.counts.calls.failed(reason if isinstance(reason, str) else type(reason).__name__)


Methods = Mapping[str, Method]


def table(*methods: Method) -> Methods:
    """The methods by path."""
    return {method.path: method for method in methods}
