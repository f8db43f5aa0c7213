"""The default front: the table of methods on a `grpc.aio` server."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError, Message

from service.api.errors import Failure, translate
from service.api.methods import Call, Kind, Method, Methods
from service.fronts.pending import Pending
from service.observe.logs import debugging, log
from service.runtime.errors import InvalidInput, NotReady, ServiceError

Context = Any  # grpc.aio's ServicerContext, which grpcio does not type

# When stopping: how long, at most, until no call has come for how long.
SETTLE_SECONDS = 1.0
QUIET_SECONDS = 0.02


class ListenError(Exception):
    """The address cannot be listened on; the message says why in one sentence."""


class GrpcioFront:
    """Serves the table over HTTP/2, unencrypted."""

    def __init__(
        self, methods: Methods, *, max_message_bytes: int, max_pending_bytes: int, max_concurrent_calls: int
    ) -> None:
        """Serve `methods` within limits.

        Requests over `max_message_bytes`, and calls beyond `max_concurrent_calls`, are refused by grpc itself
        with RESOURCE_EXHAUSTED; unary requests that together hold more than `max_pending_bytes` while they
        wait or run are refused like those that find a queue full.
        """
        self._calls = _Calls(max_pending_bytes)
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),  # a second server on the port is refused
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", 16 * 1024),
                # Clients may ping a connection that is idle, as load balancers do, every 10 s.
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
            maximum_concurrent_rpcs=max_concurrent_calls,
        )
        self._server.add_generic_rpc_handlers([_Table(methods, self._calls)])

    async def start(self, host: str, port: int) -> int:
        """Listen and accept calls; returns the port, a free one for 0. Raises `ListenError`."""
        host = host.removeprefix("[").removesuffix("]")
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        _probe(host, port)
        try:
            bound: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {address}: {error}") from None
        await self._server.start()
        return bound

    async def stop(self, grace: float) -> None:
        """Accept no new calls; those whose handler was entered may finish within `grace` seconds.

        Streams are read no further: what was read is answered, then they end with UNAVAILABLE. Calls that
        grpc had received but not yet handed over it would cancel without a reason, so there is first a
        moment in which they still come in, for their handlers to answer or refuse.
        """
        self._calls.draining.set()
        began = time.monotonic()
        settled = began + min(SETTLE_SECONDS, grace)
        entered = -1
        while entered != self._calls.entered and time.monotonic() < settled:
            entered = self._calls.entered
            await asyncio.sleep(QUIET_SECONDS)
        await self._server.stop(max(0.0, began + grace - time.monotonic()))


class _Calls(Pending):
    """What the front knows of all its calls together."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.entered = 0
        """Calls handed over to a handler since the start."""
        self.draining = asyncio.Event()


def _probe(host: str, port: int) -> None:
    """Find out why an address cannot be bound before grpc does, which would not say."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as grpc does
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    except UnicodeError:
        raise ListenError(f"cannot listen on {host}:{port}: this is no name of a host") from None


class _Table(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Looks a call's handler up by its path."""

    def __init__(self, methods: Methods, calls: _Calls) -> None:
        traced = debugging()
        self._handlers = {path: _handler(method, calls, traced) for path, method in methods.items()}
        self._calls = calls

    def service(self, handler_call_details: Any) -> Any:
        self._calls.entered += 1
        return self._handlers.get(handler_call_details.method)


def _handler(method: Method, calls: _Calls, traced: bool) -> Any:
    if method.kind is Kind.UNARY:
        unary = _unary(method, calls)
        return grpc.unary_unary_rpc_method_handler(_traced(unary, method) if traced else unary)
    return grpc.stream_stream_rpc_method_handler(_stream(method, calls))


def _unary(method: Method, calls: _Calls) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """The method as grpc.aio calls it, bytes in and bytes out."""
    parse = method.request.FromString
    handler: Any = method.handler

    def received(data: bytes) -> Message:
        try:
            calls.admit(len(data))
            return _parsed(parse, data, method)
        except ServiceError as error:
            method.refused(error)
            raise

    async def answer(data: bytes, context: Context) -> bytes:
        size = len(data)
        try:
            try:
                call = _GrpcCall(context)
                response: Message = await handler(received(data), call)
            finally:
                calls.release(size)
            if call.trailers:
                context.set_trailing_metadata(tuple(call.trailers.items()))
            return response.SerializeToString()
        except Exception as error:
            failure = _translated(error, method)
        del data
        return await _abort(context, failure)

    return answer


def _stream(method: Method, calls: _Calls) -> Callable[[Any, Context], AsyncIterator[bytes]]:
    """The same for a stream."""
    parse = method.request.FromString
    handler: Any = method.handler

    async def answers(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        cut = False

        async def messages() -> AsyncIterator[Message]:
            nonlocal cut
            async for data in _until(calls.draining, requests):
                yield _parsed(parse, data, method)
            cut = calls.draining.is_set()

        call = _GrpcCall(context)
        try:
            async with aclosing(handler(messages(), call)) as responses:
                async for response in responses:
                    yield response.SerializeToString()
            if cut:
                raise NotReady("the server is draining")
            if call.trailers:
                context.set_trailing_metadata(tuple(call.trailers.items()))
            return
        except Exception as error:
            failure = _translated(error, method)
        await _abort(context, failure)

    return answers


def _translated(error: Exception, method: Method) -> Failure:
    """How the call ends, and nothing else left of the error.

    grpc keeps what its `abort` raises until the garbage collector comes by, and with it all errors before it
    and the frames they came through, which hold the request. So their tracebacks are taken off, and `abort`
    is called outside of the `except`.
    """
    failure = translate(error, method.path)
    left: BaseException | None = error
    while left is not None:
        left.__traceback__ = None
        left = left.__cause__ or left.__context__
    return failure


async def _until(event: asyncio.Event, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`items` until they end or `event` is set, whichever comes first."""
    stop = asyncio.ensure_future(event.wait())
    try:
        while True:
            item = asyncio.ensure_future(anext(items, None))
            await asyncio.wait((item, stop), return_when=asyncio.FIRST_COMPLETED)
            if not item.done():
                item.cancel()
                return
            if (data := item.result()) is None:
                return
            yield data
    finally:
        stop.cancel()


def _parsed(parse: Callable[[bytes], Message], data: bytes, method: Method) -> Message:
    try:
        return parse(data)
    except DecodeError:
        name = method.request.DESCRIPTOR.full_name
        raise InvalidInput("message", f"{len(data)} bytes that are no {name}") from None


class _GrpcCall(Call):
    """A call that asks grpc for what a handler looks at, when it looks: most handlers look at nothing."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context
        remaining = context.time_remaining()
        self.deadline = None if remaining is None else time.monotonic() + remaining
        self.identity = None
        self.trailers = {}
        self.calls = None

    @property
    def metadata(self) -> Mapping[str, str | bytes]:  # type: ignore[override]
        return dict(self._context.invocation_metadata() or ())

    @property
    def peer(self) -> str:  # type: ignore[override]
        return str(self._context.peer())


async def _abort(context: Context, failure: Failure) -> NoReturn:
    await context.abort(failure.code, failure.message, failure.metadata())
    raise AssertionError("abort raises")


def _traced(
    answer: Callable[[bytes, Context], Awaitable[bytes]], method: Method
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """The same with one debug line a call."""

    async def traced(data: bytes, context: Context) -> bytes:
        began = time.perf_counter()
        size = None
        try:
            response = await answer(data, context)
            size = len(response)
            return response
        finally:
            code = context.code()
            log.debug(
                "call",
                method=method.path,
                code=getattr(code, "name", None) or ("OK" if size is not None else "CANCELLED"),
                peer=context.peer(),
                request_bytes=len(data),
                response_bytes=size,
                ms=round((time.perf_counter() - began) * 1e3, 3),
            )

    return traced
