"""An RPC is a value; a transport is a loop over such values."""

from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from google.protobuf.message import Message

from engine.statistics import Calls
from service.telemetry.call_ids import REQUEST_ID, TRACEPARENT, TRACESTATE, CallIds, read_ids
from service.telemetry.calls import CallRecord
from service.telemetry.observer import Observer


class Kind(Enum):
    """The shape of an RPC on the wire."""

    UNARY = "unary"
    """One message in, one out."""
    STREAM = "stream"
    """A stream of messages in, a stream out. One message in is a stream of one."""


class Context(Protocol):
    """What a handler knows of a call beside its message. Each transport has its own."""

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        """What the client sent with the call; keys are in lower case."""

    @property
    def peer(self) -> str:
        """The client's address, for rate limits and logs."""

    deadline: float | None
    """When the client stops waiting, in seconds of `time.monotonic`."""
    identity: str | None
    """The name of the caller's token; None before it is verified, and where no token is required."""
    admitted: bool
    """Whether `Guard.admit` has let the call pass."""
    trailers: dict[str, str | bytes]
    """Trailing metadata to send with the answer."""
    calls: Calls | None
    """The statistics that count the call when it ends. None until its handler is entered. A handler that finds a
    model sets those of the model. For a stream: the statistics of its messages that find no model."""
    began: int
    """When the fast path was entered, by `time.perf_counter_ns`."""
    known_ids: CallIds | None
    """What `ids` gives, once it was asked."""
    record: CallRecord | None
    """What is recorded of the call; None where nothing is."""

    def ids(self) -> CallIds:
        """What identifies the call: as the client sent it, or made when this is first called."""


@dataclass(slots=True, eq=False)
class LocalContext:
    """The context of a call that no gRPC transport brings: HTTP, this process, or one message of a stream."""

    metadata: Mapping[str, str | bytes] = field(default_factory=dict)
    deadline: float | None = None
    peer: str = ""
    identity: str | None = None
    admitted: bool = False
    trailers: dict[str, str | bytes] = field(default_factory=dict)
    calls: Calls | None = None
    began: int = 0
    known_ids: CallIds | None = None
    record: CallRecord | None = None

    def ids(self) -> CallIds:
        """See `Context`."""
        if self.known_ids is None:
            sent = self.metadata.get
            self.known_ids = read_ids(sent(REQUEST_ID), sent(TRACEPARENT), sent(TRACESTATE))
        return self.known_ids


# A request is of Method.request's type, an answer of Method.response's; the table mixes them all.
UnaryHandler = Callable[[Any, Any], Awaitable[Message]]
FastPathHandler = Callable[[bytes, int, Any], "Future[bytes] | None"]
StreamHandler = Callable[[AsyncIterator[Any], Any], AsyncIterator[Message]]


@dataclass(slots=True)
class Counts:
    """What became of the calls of one method."""

    calls: Calls = field(default_factory=Calls)
    """Calls that are of no model or found none; all calls of a stream."""
    messages: Calls = field(default_factory=Calls)
    """Messages of its streams that found no model."""
    in_flight: int = 0
    """Calls whose handler was entered and has not ended."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """What a call changes beyond its answer; every process of the server applies it."""

    key: tuple[str, ...]
    """What is changed, such as ("model", "mnist-16x16"). A shorter key stands for everything that begins with it.
    A mutation replaces earlier ones of the same key."""
    replay: bool
    """Whether a process that starts later applies it too. If not, it also cancels earlier ones of its key."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC."""

    path: str
    """`/digits.v1.DigitsService/Classify`"""
    request: type[Message]
    response: type[Message]
    kind: Kind
    handler: UnaryHandler | StreamHandler
    """Takes (message, Context) and returns the answer; for a stream, an async generator over messages.
    Raises the errors of `engine.errors`, which `service.api.errors` translates."""
    fast_path: FastPathHandler | None = None
    """Takes (data, start, Context): the serialized request begins at data[start]. Returns a future of the serialized
    answer, equal to what `handler` would give, or None for a request that `handler` must take: an unusual or wrong one.
    Its caller calls `fast_path_ended` when the future is done."""
    fast_path_ended: Callable[[Any, BaseException | None], None] = lambda context, error: None
    """Takes (Context, error or None) and counts a call that the fast path answered."""
    identify: Callable[[Any], None] | None = None
    """Takes the Context once the headers have come, and verifies the caller's token. Raises `NotAuthenticated` and
    `NotPermitted`. None where no token is required."""
    reserved: bool = False
    """Whether its calls count against a separate concurrency limit (public or endless calls)."""
    change: Callable[[Any], Mutation] | None = None
    """What a request changes; None where calls change nothing."""
    observer: Observer | None = None
    """Records its calls; None where nothing is recorded."""
    counts: Counts = field(default_factory=Counts, compare=False)

    def count_rejection(self, reason: Exception | str) -> None:
        """Count a call that ends before its handler is entered, by its error or the name of its status."""
        self.counts.calls.failed(reason if isinstance(reason, str) else type(reason).__name__)


Methods = Mapping[str, Method]


def table(*methods: Method) -> Methods:
    """The methods by path."""
    return {method.path: method for method in methods}
