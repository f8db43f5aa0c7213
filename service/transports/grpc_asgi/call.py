"""One gRPC call that ASGI brings: its headers, its bytes, and its status."""

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, NoReturn
from urllib.parse import quote

from engine.errors import DeadlinePassed, InvalidInput, MalformedCall, NotSupported, quoted
from engine.statistics import Calls
from service.api.admission import Admission
from service.telemetry.call_ids import CallIds, read_ids
from service.telemetry.calls import CallRecord
from service.transports.grpc_asgi.framing import ENCODINGS, PREFIX, Encoding, Frames

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Header = tuple[bytes, bytes]

_UNIT_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
# Characters of `grpc-message` that need no escape: printable ASCII without the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
# Headers of HTTP and of gRPC itself are not metadata.
_RESERVED = (b":", b"grpc-")
_TRANSPORT = {b"te", b"content-type", b"host", b"connection"}


class AsgiCall:
    """A call in flight, and its `Context`. It reads metadata only when a handler does: most handlers do not."""

    # Defaults stand in the class, since most calls never change them: that makes a call cheaper to begin.
    deadline: float | None = None
    identity: str | None = None
    admitted = False
    calls: Calls | None = None
    began = 0
    known_ids: CallIds | None = None
    record: CallRecord | None = None
    encoding: Encoding = "identity"
    """Of the request's compressed messages."""
    accepted: Encoding = "identity"
    """Of the answer's messages: that of the request, if the client accepts it."""
    more = True
    """Whether more of the request may come."""
    started = False
    """Whether an answer has begun."""
    left = False
    """Whether the client has gone."""
    expired: DeadlinePassed | None = None
    """The error to end with, once the deadline or the time to send the request has passed."""
    streams = False
    """Whether its request is a stream, which may take as long as it likes."""
    reading = True
    """Whether the call itself is receiving."""
    ahead: asyncio.Future[Event] | None = None
    """An event that the reaper receives, or has received, while the call itself is not receiving."""
    look_at = 0.0
    """When the reaper checks next whether the client has gone, in the loop's time; then after `look_seconds`."""
    look_seconds = 0.2
    task: asyncio.Future[Any] | None = None
    """What to cancel to end the call."""

    def __init__(self, scope: Event, headers: dict[bytes, bytes], receive: Receive) -> None:
        self.scope = scope
        self.headers = headers
        self.receive = receive
        self.path: str = scope["path"]
        self.trailers: dict[str, str | bytes] = {}
        self.came = time.perf_counter()

    def read_headers(self) -> None:
        """Read the deadline and the encoding. Raises `InvalidInput` and `NotSupported`."""
        headers = self.headers
        if (timeout := headers.get(b"grpc-timeout")) is not None:
            self.deadline = time.monotonic() + _seconds(timeout)
        if (encoding := headers.get(b"grpc-encoding")) is not None:
            name = encoding.decode("latin-1")
            if name not in ENCODINGS:
                raise NotSupported(f"grpc-encoding is {quoted(name)}, expected one of {', '.join(ENCODINGS)}")
            self.encoding = name
            if encoding in headers.get(b"grpc-accept-encoding", b"").replace(b" ", b"").split(b","):
                self.accepted = name

    def leave(self) -> NoReturn:
        """Cancel the call: the client has cancelled it, or its connection has ended."""
        self.left = True
        raise asyncio.CancelledError

    def read_first(self, event: Event) -> None:
        """Note what the first event of a request says."""
        self.reading = False
        if event["type"] != "http.request":
            self.leave()
        self.more = event.get("more_body", False)

    async def read(self) -> bytes:
        """The next bytes of the request; empty at its end and from then on."""
        if not self.more:
            return b""
        self.reading = True
        event = await (self.receive() if self.ahead is None else self.ahead)
        self.reading, self.ahead = False, None
        if event["type"] != "http.request":
            self.leave()
        self.more = event.get("more_body", False)
        return event.get("body", b"")  # type: ignore[no-any-return]

    async def read_message(self, frames: Frames, data: bytes, admission: Admission) -> tuple[bytes, int]:
        """The only message of a request that comes in pieces, `data` first: (bytes, where in them it begins).

        Raises `MalformedCall` and `LimitReached`, and `QueueFull` when too many bytes arrive at once.
        """
        parts: list[bytes] = []
        size = 0
        length: int | None = None
        try:
            while True:
                parts.append(data)
                size += len(data)
                admission.admit(len(data))
                if length is None and size >= PREFIX:
                    length = frames.length(b"".join(parts)[:PREFIX])
                if length is not None and size > PREFIX + length:
                    raise MalformedCall("the request holds more than one message")
                if not self.more:
                    break
                data = await self.read()
        finally:
            admission.release(size)
        if length is None or size < PREFIX + length:
            raise MalformedCall("the request ended before its message was whole")
        return frames.message(b"".join(parts))

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        """See `Context`."""
        return {key.decode("latin-1"): _value(key, value) for key, value in self.headers.items() if _is_metadata(key)}

    def ids(self) -> CallIds:
        """See `Context`."""
        if self.known_ids is None:
            sent = self.headers.get
            self.known_ids = read_ids(sent(b"x-request-id"), sent(b"traceparent"), sent(b"tracestate"))
        return self.known_ids

    @property
    def peer(self) -> str:
        """See `Context`."""
        client = self.scope.get("client")
        return f"{client[0]}:{client[1]}" if client else ""


def _is_metadata(key: bytes) -> bool:
    return key not in _TRANSPORT and not key.startswith(_RESERVED)


def _value(key: bytes, value: bytes) -> str | bytes:
    if not key.endswith(b"-bin"):
        return value.decode("latin-1")
    value = value.rpartition(b",")[2].strip()  # of several under one key the last, as with text
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return b""


def _seconds(timeout: bytes) -> float:
    """`grpc-timeout`: up to eight digits and a unit."""
    text = timeout.decode("latin-1")
    digits, unit = text[:-1], text[-1:]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 8 and unit in _UNIT_SECONDS):
        raise InvalidInput("grpc-timeout", f"is {quoted(text)}, expected up to eight digits and one of H M S m u n")
    return int(digits) * _UNIT_SECONDS[unit]


def status_headers(code: int, message: str, metadata: Iterable[tuple[str, str | bytes]]) -> list[Header]:
    """How a call ended, as headers or trailers."""
    headers = [(b"grpc-status", b"%d" % code)]
    if message:
        headers.append((b"grpc-message", quote(message, safe=_PLAIN).encode()))
    return headers + metadata_headers(metadata)


def metadata_headers(metadata: Iterable[tuple[str, str | bytes]]) -> list[Header]:
    """Metadata as headers or trailers: bytes, under keys that end in `-bin`, in base64."""
    return [
        (key.encode(), base64.b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode())
        for key, value in metadata
    ]
