"""Unary RPCs of the table as JSON, Protobuf and gRPC-Web over HTTP, by connectrpc.

connectrpc does the protocols: headers, frames, deadlines, the form of errors; see https://connectrpc.com/docs/protocol.
The codecs here hand over bytes as they came. They are parsed and written next to the handler, large ones in a thread,
so that the event loop gets its turns.
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
from google.protobuf.message import Message
from protobuf.wkt import Any as PackedAny

from engine.errors import InvalidInput
from service.api.admission import Admission
from service.api.errors import Failure
from service.api.method import LocalContext, Method, Methods
from service.api.pipeline import Pipeline, parse
from service.telemetry.logs import debugging, log
from service.transports import limits
from service.transports.http.json_request import read_json

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Scope = Any

JSON, PROTO = "json", "proto"
# Bytes of a request, or of an answer as Protobuf, from which on it is parsed or written in a thread.
THREAD_BYTES = 32 * 1024
# Seconds between two polls of a server that returns at once instead of waiting for a disconnect.
DISCONNECT_POLL_SECONDS = 0.1


class Connect(ConnectASGIApplication[None]):
    """The ASGI application for the paths of some methods."""

    path = ""

    def __init__(self, methods: Methods, admission: Admission, max_message_bytes: int) -> None:
        """Answer `methods`, all unary, within limits."""
        self._admission = admission
        pipeline = Pipeline(methods, admission)
        endpoints = {path: _endpoint(method, max_message_bytes) for path, method in methods.items()}
        super().__init__(
            service=None,
            endpoints=lambda _: endpoints,
            interceptors=[_Status(pipeline), _Enter(pipeline)],
            read_max_bytes=max_message_bytes,
            compressions=[_Gzip(level=1)],
            codecs=[_Codec(JSON), _Codec(PROTO)],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        with self._admission.call() as full:
            request = _Request(receive, self._admission, full=full)
            _REQUEST.set(request)
            try:
                await super().__call__(scope, request, send)
            finally:
                self._admission.release(request.size)


class _Request:
    """One request while it arrives and is answered; wraps the server's `receive`."""

    def __init__(self, receive: Receive, admission: Admission, *, full: bool) -> None:
        self._receive = receive
        self._admission = admission
        self._full = full
        self._until = time.monotonic() + limits.ARRIVAL_SECONDS
        self._whole = False
        self.size = 0
        self.began = time.perf_counter()
        self.context = LocalContext()

    def admit(self, size: int) -> None:
        """Count `size` bytes more of it. Raises `QueueFull`."""
        self.size += size
        self._admission.admit(size, self.size - size)

    async def __call__(self) -> Any:
        if self._whole:
            return await self._disconnect()
        if self._full:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, "there are as many calls at once as are allowed")
        try:
            async with asyncio.timeout(self._until - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise ConnectError(Code.DEADLINE_EXCEEDED, str(limits.not_arrived())) from None
        self._whole = not message.get("more_body", False)
        self.admit(len(message.get("body", b"")))
        return message

    async def _disconnect(self) -> Any:
        """Wait until the client disconnects; some servers return empty messages meanwhile."""
        while (message := await self._receive())["type"] == "http.request":  # noqa: ASYNC110
            await asyncio.sleep(DISCONNECT_POLL_SECONDS)
        return message


_REQUEST: ContextVar[_Request] = ContextVar("request")


class _Status:
    """At the end of each call: translates its error and writes a debug line."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._traced = debugging()

    async def on_start(self, ctx: RequestContext[Any, Any]) -> None:
        """Do nothing yet."""

    async def on_end(self, token: None, ctx: RequestContext[Any, Any], error: Exception | None) -> None:
        """Count and log the end of the call; connectrpc sends the client the error that is raised here."""
        request = _REQUEST.get()
        method = _method(self._pipeline, ctx)
        failure = None
        if error is None:
            code = "OK"
        elif isinstance(error, ConnectError):
            code = "CANCELLED" if error.code is Code.CANCELED else error.code.name  # as gRPC spells it
            if request.context.calls is None:
                method.count_rejection(code)
        else:
            failure = self._pipeline.failure(error, method, request.context)
            code = failure.code.name
        if self._traced:
            log.debug(
                "call",
                method=method.path,
                code=code,
                peer=ctx.client_address,
                request_bytes=request.size,
                ms=round((time.perf_counter() - request.began) * 1e3, 3),
            )
        if failure is not None:
            raise _error(failure, ctx)


class _Enter:
    """At the start of each call, before its body is read: verifies the caller."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def on_start(self, ctx: RequestContext[Any, Any]) -> None:
        """Take the headers, which have come. Raises `NotAuthenticated`."""
        context = _REQUEST.get().context
        remaining = ctx.timeout_ms
        context.metadata = _metadata(ctx.request_headers)
        context.deadline = None if remaining is None else time.monotonic() + remaining / 1000
        context.peer = ctx.client_address or ""
        self._pipeline.verify(_method(self._pipeline, ctx), context)

    async def on_end(self, token: None, ctx: RequestContext[Any, Any], error: Exception | None) -> None:
        """Do nothing more."""


def _method(pipeline: Pipeline, ctx: RequestContext[Any, Any]) -> Method:
    return pipeline.methods[f"/{ctx.method.service_name}/{ctx.method.name}"]


class _Body(bytes):
    """A request as it came, not parsed yet."""

    codec = PROTO
    compressed = False


class _Codec(Codec[bytes, _Body]):
    """Passes bytes through, and notes their codec and compression."""

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
    """Bytes that are still compressed."""


class _Gzip(GzipCompression, Compression):
    """Leaves decompression to the endpoint."""

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
        context = _REQUEST.get().context
        request = await _read(body, method, max_bytes)
        response: Message = await handler(request, context)
        ctx.response_trailers.update(_headers(context.trailers))
        written: bytes = await _in_thread(response.ByteSize(), _write, response, body.codec)
        return written

    return Endpoint.unary(info, answer)


async def _in_thread(size: int, work: Callable[..., Any], *args: Any) -> Any:
    """The result of `work`, run in a thread if `size` bytes are much."""
    return work(*args) if size < THREAD_BYTES else await asyncio.to_thread(work, *args)


async def _read(body: _Body, method: Method, max_bytes: int) -> Message:
    """The request. Raises `InvalidInput`, `QueueFull`, and `ConnectError` when it is too large once decompressed."""
    data: bytes = body
    if body.compressed:
        data = await asyncio.to_thread(_decompress, body, max_bytes)
        _REQUEST.get().admit(len(data))
    message: Message = await _in_thread(len(data), _parse, data, body.codec, method)
    return message


def _decompress(data: bytes, max_bytes: int) -> bytes:
    try:
        return GzipCompression().decompress(data, max_bytes)
    except ConnectError:
        raise
    except Exception:  # of zlib or of connectrpc, caused by the client
        raise InvalidInput("message", f"{len(data)} bytes that are not compressed by gzip") from None


def _parse(data: bytes, codec: str, method: Method) -> Message:
    return read_json(data, method.request) if codec == JSON else parse(method, data)


def _write(response: Message, codec: str) -> bytes:
    if codec == PROTO:
        return response.SerializeToString()
    # Without the option a digit 0 would be left out.
    return MessageToJson(response, indent=None, always_print_fields_with_no_presence=True).encode()


def _error(failure: Failure, ctx: RequestContext[Any, Any]) -> ConnectError:
    """The error that connectrpc sends; its trailers go into `ctx`."""
    ctx.response_trailers.update(_headers(failure.trailers))
    if "grpc-retry-pushback-ms" in failure.trailers:  # HTTP's header counts seconds
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
