"""Unary RPCs of the table as JSON, Protobuf and gRPC-Web over HTTP, by connectrpc.

See https://connectrpc.com/docs/protocol. connectrpc does the protocols: headers, frames, deadlines, how
errors look. Its codecs here hand over bytes as they came; they are unpacked and written next to the handler,
in a thread where they are many, so that the event loop gets its turns.
"""

import asyncio
import base64
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.compression import Compression
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from protobuf.wkt import Any as PackedAny

from engine.errors import InvalidInput, ServiceError
from service.api.errors import Failure, translate
from service.api.method import Call, Method, Methods
from service.telemetry.logs import debugging, log
from service.transports import limits
from service.transports.http.json_request import read_json
from service.transports.limits import Pending, not_arrived

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Scope = Any

JSON, PROTO = "json", "proto"
# Bytes of a request, or of an answer as Protobuf, from which on it is unpacked or written in a thread.
ASIDE_BYTES = 32 * 1024
# How often a server is asked for a disconnect that returns at once instead of waiting for one.
DISCONNECT_POLL_SECONDS = 0.1


class Connect(ConnectASGIApplication[None]):
    """The ASGI application for the paths of some methods."""

    path = ""

    def __init__(
        self, methods: Methods, *, max_message_bytes: int, max_pending_bytes: int, max_concurrent_calls: int
    ) -> None:
        """Answer `methods`, all unary, within limits that are kept apart from those of other fronts."""
        endpoints = {path: _endpoint(method, max_message_bytes) for path, method in methods.items()}
        super().__init__(
            service=None,
            endpoints=lambda _: endpoints,
            interceptors=[_Watch(methods), _Gate(methods)],
            read_max_bytes=max_message_bytes,
            compressions=[_Gzip(level=1)],
            codecs=[_Codec(JSON), _Codec(PROTO)],
        )
        self._methods = methods
        self._pending = Pending(max_pending_bytes)
        self._max_calls = max_concurrent_calls
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever becomes of it."""
        self._calls += 1
        request = _Request(receive, self._pending, full=self._calls > self._max_calls)
        _REQUEST.set(request)
        try:
            await super().__call__(scope, request, send)
        finally:
            self._calls -= 1
            self._pending.release(request.size)


class _Request:
    """One request while it arrives and is answered; stands for the server's `receive`."""

    def __init__(self, receive: Receive, pending: Pending, *, full: bool) -> None:
        self._receive = receive
        self._pending = pending
        self._full = full
        self._until = time.monotonic() + limits.ARRIVAL_SECONDS
        self._whole = False
        self.size = 0
        self.began = time.perf_counter()
        self.counted = False
        """Whether the call was, or will be by its handler."""

    def admit(self, size: int) -> None:
        """There are `size` bytes more of it. Raises `QueueFull`."""
        self.size += size
        self._pending.admit(size, self.size - size)

    async def __call__(self) -> Any:
        if self._whole:
            return await self._disconnect()
        if self._full:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, "there are as many calls at once as are allowed")
        try:
            async with asyncio.timeout(self._until - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise ConnectError(Code.DEADLINE_EXCEEDED, str(not_arrived())) from None
        self._whole = not message.get("more_body", False)
        self.admit(len(message.get("body", b"")))
        return message

    async def _disconnect(self) -> Any:
        """Wait until the client is gone; some servers give empty messages all the time meanwhile."""
        while (message := await self._receive())["type"] == "http.request":  # noqa: ASYNC110
            await asyncio.sleep(DISCONNECT_POLL_SECONDS)
        return message


_REQUEST: ContextVar[_Request] = ContextVar("request")


class _Watch:
    """At the end of each call: translates its error, counts it if no handler did, and writes a debug line."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self._traced = debugging()

    async def on_start(self, ctx: RequestContext[Any, Any]) -> None:
        """Nothing yet."""

    async def on_end(self, token: None, ctx: RequestContext[Any, Any], error: Exception | None) -> None:
        """The call ended with `error`, or well; what is raised here is what connectrpc tells the client."""
        request = _REQUEST.get()
        path = f"/{ctx.method.service_name}/{ctx.method.name}"
        failure = None
        if error is None:
            code = "OK"
        elif isinstance(error, ConnectError):
            code = "CANCELLED" if error.code is Code.CANCELED else error.code.name  # as gRPC spells it
        else:
            failure = translate(error, path)
            code = failure.code.name
        if not request.counted:
            self._methods[path].refused(error if isinstance(error, ServiceError) else code)
        if self._traced:
            log.debug(
                "call",
                method=path,
                code=code,
                peer=ctx.client_address,
                request_bytes=request.size,
                ms=round((time.perf_counter() - request.began) * 1e3, 3),
            )
        if failure is not None:
            raise _error(failure, ctx)


class _Gate:
    """At the start of each call, before its body is read: finds out whose it is."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods

    async def on_start(self, ctx: RequestContext[Any, Any]) -> None:
        """The headers have come. Raises `NotAuthenticated`."""
        method = self._methods[f"/{ctx.method.service_name}/{ctx.method.name}"]
        if method.identify is not None:
            method.identify(_call(ctx))

    async def on_end(self, token: None, ctx: RequestContext[Any, Any], error: Exception | None) -> None:
        """Nothing more."""


class _Body(bytes):
    """A request as it came, still to be unpacked."""

    codec = PROTO
    compressed = False


class _Codec(Codec[bytes, _Body]):
    """Passes bytes through, and remembers what they are."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name

    def encode(self, message: bytes) -> bytes:
        return message

    def decode(self, data: bytes | bytearray, message_class: type[Any]) -> _Body:
        body = _Body(data)
        body.codec, body.compressed = self._name, isinstance(data, _Compressed)
        return body


class _Compressed(bytes):
    """Bytes that are to be decompressed."""


class _Gzip(GzipCompression, Compression):
    """Leaves decompressing for later."""

    def decompress(self, data: bytes | bytearray | memoryview, read_max_bytes: int | None = None) -> bytes:
        return _Compressed(data)


def _endpoint(method: Method, max_bytes: int) -> Any:
    service, _, name = method.path.removeprefix("/").partition("/")
    info = MethodInfo(
        name=name,
        service_name=service,
        input=method.request,
        output=method.response,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.UNARY,
    )
    handler: Any = method.handler

    async def answer(body: _Body, ctx: RequestContext[Any, Any]) -> bytes:
        call = _call(ctx)
        request = await _read(body, method, max_bytes)
        _REQUEST.get().counted = True
        response: Message = await handler(request, call)
        ctx.response_trailers.update(_headers(call.trailers))
        written: bytes = await _aside(response.ByteSize(), _write, response, body.codec)
        return written

    return Endpoint.unary(info, answer)


def _call(ctx: RequestContext[Any, Any]) -> Call:
    remaining = ctx.timeout_ms
    return Call(
        metadata=_metadata(ctx.request_headers),
        deadline=None if remaining is None else time.monotonic() + remaining / 1000,
        peer=ctx.client_address or "",
    )


async def _aside(size: int, work: Callable[..., Any], *args: Any) -> Any:
    """What `work` gives, in a thread if there is much of it."""
    return work(*args) if size < ASIDE_BYTES else await asyncio.to_thread(work, *args)


async def _read(body: _Body, method: Method, max_bytes: int) -> Message:
    """The request. Raises `InvalidInput`, `QueueFull`, or `ConnectError` when it is too large unpacked."""
    data: bytes = body
    if body.compressed:
        data = await asyncio.to_thread(_decompress, body, max_bytes)
        _REQUEST.get().admit(len(data))
    message: Message = await _aside(len(data), _parse, data, body.codec, method.request)
    return message


def _decompress(data: bytes, max_bytes: int) -> bytes:
    try:
        return GzipCompression().decompress(data, max_bytes)
    except ConnectError:
        raise
    except Exception:  # of zlib or of connectrpc: whatever it is, the client did it
        raise InvalidInput("message", f"{len(data)} bytes that are not compressed by gzip") from None


def _parse(data: bytes, codec: str, kind: type[Message]) -> Message:
    if codec == JSON:
        return read_json(data, kind)
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InvalidInput("message", f"{len(data)} bytes that are no {kind.DESCRIPTOR.full_name}") from None


def _write(response: Message, codec: str) -> bytes:
    if codec == PROTO:
        return response.SerializeToString()
    # A digit 0 is an answer, not something to leave out.
    return MessageToJson(response, indent=None, always_print_fields_with_no_presence=True).encode()


def _error(failure: Failure, ctx: RequestContext[Any, Any]) -> ConnectError:
    """The same for connectrpc, and its trailers left in `ctx`."""
    ctx.response_trailers.update(_headers(failure.trailers))
    if "grpc-retry-pushback-ms" in failure.trailers:  # HTTP's word for it counts seconds
        ctx.response_headers["retry-after"] = str(math.ceil(int(failure.trailers["grpc-retry-pushback-ms"]) / 1000))
    details = [ErrorDetail(PackedAny(type_url=each.type_url, value=each.value)) for each in failure.status().details]
    return ConnectError(Code[failure.code.name], failure.message, details)


def _metadata(headers: Mapping[str, str]) -> dict[str, str | bytes]:
    return {key: _binary(value) if key.endswith("-bin") else value for key, value in headers.items()}


def _binary(value: str) -> bytes:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4))
    except ValueError:
        return b""


def _headers(trailers: Mapping[str, str | bytes]) -> dict[str, str]:
    return {
        key: base64.b64encode(value).decode().rstrip("=") if isinstance(value, bytes) else value
        for key, value in trailers.items()
    }
