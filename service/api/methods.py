"""An RPC is a value, and a front is a loop over such values."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from google.protobuf.message import Message


class Kind(Enum):
    """The shape of an RPC on the wire."""

    UNARY = "unary"
    """One message in, one out."""
    STREAM = "stream"
    """A stream of messages in, a stream out. One message in is a stream of one."""


@dataclass(slots=True)
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
    trailers: dict[str, str | bytes] = field(default_factory=dict)
    """What the handler wants sent at the end."""


# A request is of Method.request's type, an answer of Method.response's; the table mixes them all.
UnaryHandler = Callable[[Any, Call], Awaitable[Message]]
StreamHandler = Callable[[AsyncIterator[Any], Call], AsyncIterator[Message]]


@dataclass(frozen=True, slots=True)
class Change:
    """What a call changes beyond its answer, so that every process that serves has to do it."""

    about: tuple[str, ...]
    """The thing, such as ("model", "mnist-16x16"), or with fewer names all things that begin with them.
    What is known of an earlier change about it is void."""
    lasting: bool
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
    Raises the errors of `service.runtime.errors`, which `service.api.errors` translates."""
    change: Callable[[Any], Change] | None = None
    """What a request changes; None where calls change nothing."""


Methods = Mapping[str, Method]


def table(*methods: Method) -> Methods:
    """The methods by path."""
    return {method.path: method for method in methods}
