"""The default front: the table of methods on a `grpc.aio` server."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError, Message

from engine.errors import InvalidInput, MalformedCall, NotReady
from service.api.errors import Failure, translate
from service.api.method import Call, Kind, Method, Methods
from service.api.middleware.metrics import try_fast_path
from service.telemetry.logs import debugging, log
from service.transports import limits as pending
from service.transports.admission import Admission, rejecting
from service.transports.sockets import ListenError, bare, probe
from service.transports.tls import Certificates

Context = Any  # grpc.aio's ServicerContext, which grpcio does not type
_Unary = Callable[..., Awaitable[bytes]]  # of the message or the messages, the context, and if need be the call

# When stopping: how long, at most, until no call has come for how long.
SETTLE_SECONDS = 1.0
QUIET_SECONDS = 0.1

# How often it is looked whether grpc's server has ended by itself, and how long its calls may take to end then.
LOOK_SECONDS = 0.05
ENDING_SECONDS = 2.0

_PENDING_CALLS = 10_000
_NEVER = 2**31 - 1  # milliseconds, for grpc


class GrpcioFront:
    """Serves the table over HTTP/2."""

    def __init__(
        self,
        methods: Methods,
        *,
        max_message_bytes: int,
        max_pending_bytes: int,
        max_concurrent_calls: int,
        shared_port: bool = False,
        max_connections: int = 10_000,
        connection_idle_seconds: int = 3600,
        connection_age_seconds: int = 0,
        certificates: Certificates | None = None,
    ) -> None:
        """Serve `methods` within limits.

        Requests over `max_message_bytes`, and calls beyond `max_concurrent_calls` and those that are apart, are
        refused by grpc itself with RESOURCE_EXHAUSTED; unary requests that together hold more than
        `max_pending_bytes` while they wait or run are refused like those that find a queue full. With
        `shared_port` other processes may listen on the same port, if they say so as well. With `certificates`
        connections use TLS, 1.2 or newer.
        """
        self._shared_port = shared_port
        self._credentials = None if certificates is None else _credentials(certificates)
        self._calls = Admission(max_pending_bytes, max_concurrent_calls)
        self._table = _Table(methods, self._calls)
        # grpc cannot tell which calls are apart.
        self._max_calls = max_concurrent_calls + len(Kind) * self._calls.reserved_calls
        self._options = [
            ("grpc.so_reuseport", int(shared_port)),  # else a second server on the port is refused
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 16 * 1024),
            # Of more than a thousand calls that wait to be taken up, grpc would cancel some at random.
            ("grpc.server.max_pending_requests", max_concurrent_calls + _PENDING_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", max_concurrent_calls + 2 * _PENDING_CALLS),
            ("grpc.max_allowed_incoming_connections", max_connections),
            ("grpc.max_connection_idle_ms", connection_idle_seconds * 1000),
            ("grpc.max_connection_age_ms", connection_age_seconds * 1000 or _NEVER),
            # Clients may ping a connection that is idle, as load balancers do, every 10 s.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ]
        self._server = self._new_server()
        self._keeper: asyncio.Task[None] | None = None
        self._ending: list[asyncio.Task[None]] = []

    def _new_server(self) -> Any:
        server = grpc.aio.server(options=self._options, maximum_concurrent_rpcs=self._max_calls)
        server.add_generic_rpc_handlers([self._table])
        return server

    async def start(self, host: str, port: int) -> int:
        """Listen and accept calls; returns the port, a free one for 0. Raises `ListenError`."""
        host = bare(host)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if not self._shared_port:
            probe(host, port)
        try:
            bound = self._add_port(address)
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {address}: {error}") from None
        await self._server.start()
        self._keeper = asyncio.create_task(self._keep(address.rpartition(":")[0] + f":{bound}"))
        return bound

    async def _keep(self, address: str) -> None:
        """Begin another server when grpc's ends by itself: one request whose path is no UTF-8 is enough for it.

        Calls that the old one has may end there.
        """
        while not self._calls.draining.is_set():
            try:
                await self._server.wait_for_termination(LOOK_SECONDS)
            except Exception as error:
                log.warning("grpc ended by itself, it begins again", address=address, reason=str(error))
                self._ending.append(asyncio.create_task(self._server.stop(ENDING_SECONDS)))
                self._ending = [task for task in self._ending if not task.done()]
                self._server = self._new_server()
                while not self._listening(address):  # noqa: ASYNC110 - the port is not free yet
                    await asyncio.sleep(LOOK_SECONDS)
                await self._server.start()

    def _listening(self, address: str) -> bool:
        with suppress(RuntimeError):
            self._add_port(address)
            return True
        return False

    def _add_port(self, address: str) -> int:
        if self._credentials is None:
            return int(self._server.add_insecure_port(address))
        return int(self._server.add_secure_port(address, self._credentials))

    async def stop(self, grace: float, stopped_listening: Callable[[], Awaitable[None]] | None = None) -> None:
        """Accept no new calls; those whose handler was entered may finish within `grace` seconds.

        Streams are read no further: what was read is answered, then they end with UNAVAILABLE. Calls that
        grpc had received but not yet handed over it would cancel without a reason, so there is first a
        moment in which they still come in, for their handlers to answer or refuse. Refusals go out after the
        word that the connection ends: who hears one at once comes back at once, and there would be no end
        of such calls. Where other processes listen on the port, `stopped_listening` waits until none does any more, so
        that they are not who hears it next.
        """
        self._calls.draining.set()
        began = time.monotonic()
        settled = began + min(SETTLE_SECONDS, grace)
        entered = -1
        while entered != self._calls.entered and time.monotonic() < settled:
            entered = self._calls.entered
            await asyncio.sleep(QUIET_SECONDS)
        stopping = asyncio.create_task(self._server.stop(max(0.0, began + grace - time.monotonic())))
        await asyncio.sleep(0)  # it begins by listening no more and telling clients that their connections end
        if stopped_listening is not None:
            await stopped_listening()
        self._calls.goaway_sent.set()
        await asyncio.gather(stopping, *self._ending)
        if self._keeper is not None:
            await self._keeper


def _credentials(certificates: Certificates) -> Any:
    """With each connection grpc asks which certificates to use."""

    def configuration() -> Any:
        pem = certificates.current()
        return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.client_ca)

    authenticated = certificates.current().client_ca is not None
    return grpc.dynamic_ssl_server_credentials(configuration(), configuration, authenticated)


class _Table(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Looks a call's handler up by its path."""

    def __init__(self, methods: Methods, calls: Admission) -> None:
        traced = debugging()
        self._handlers = {path: _handler(method, calls, traced) for path, method in methods.items()}
        self._calls = calls

    def service(self, handler_call_details: Any) -> Any:
        self._calls.entered += 1
        return self._handlers.get(handler_call_details.method)


def _handler(method: Method, calls: Admission, traced: bool) -> Any:
    if method.kind is Kind.UNARY:
        unary = _unary(method, calls)
        answer = _traced(unary, method) if traced else unary
        if method.identify is None and not method.reserved:
            return grpc.unary_unary_rpc_method_handler(answer)
        # Of a kind by which the handler is entered when the headers come, and reads the message by itself. It makes
        # small calls slower, so it is for servers alone that shall know who calls.
        return grpc.stream_unary_rpc_method_handler(answer)
    return grpc.stream_stream_rpc_method_handler(_stream(method, calls))


def _unary(method: Method, calls: Admission) -> _Unary:
    """The method as grpc.aio calls it, bytes in and bytes out."""
    parse = method.request.FromString
    handler: Any = method.handler

    async def answer(data: Any, context: Context, call: _GrpcCall | None = None) -> bytes:
        size = 0
        try:
            try:
                call = call or _GrpcCall(context)
                if method.identify is not None:
                    rejecting(method, method.identify, call)
                if not isinstance(data, bytes):
                    with calls.place(method):
                        data = await _only(method, context)
                call.size = size = len(data)
                rejecting(method, calls.admit, size)
                if (written := await try_fast_path(method, data, 0, call)) is not None:
                    return written
                response: Message = await handler(rejecting(method, _parsed, parse, data, method), call)
            finally:
                calls.release(size)
            if call.trailers:
                context.set_trailing_metadata(tuple(call.trailers.items()))
            return response.SerializeToString()
        except Exception as error:
            failure = _translated(error, method)
        del data
        await calls.wait_until_rejections_allowed()
        return await _abort(context, failure)

    return answer


def _stream(method: Method, calls: Admission) -> Callable[[Any, Context], AsyncIterator[bytes]]:
    """The same for a stream."""
    parse = method.request.FromString
    handler: Any = method.handler

    async def answers(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        cut = False

        async def messages() -> AsyncIterator[Message]:
            nonlocal cut
            async for data in calls.until_draining(requests):
                yield _parsed(parse, data, method)
            cut = calls.draining.is_set()

        call = _GrpcCall(context)
        try:
            if method.identify is not None:
                rejecting(method, method.identify, call)
            with calls.place(method):
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
        await calls.wait_until_rejections_allowed()
        await _abort(context, failure)

    return answers


async def _only(method: Method, context: Context) -> bytes:
    """The message of a unary call. Raises `DeadlinePassed` and `MalformedCall`."""
    try:
        async with asyncio.timeout(pending.ARRIVAL_SECONDS):
            data = await context.read()
    except TimeoutError:
        error = pending.not_arrived()
        method.refused(error)
        raise error from None
    if data is grpc.aio.EOF:
        raise MalformedCall("the request ended before its message was whole")
    return data  # type: ignore[no-any-return]


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


def _parsed(parse: Callable[[bytes], Message], data: bytes, method: Method) -> Message:
    try:
        return parse(data)
    except DecodeError:
        name = method.request.DESCRIPTOR.full_name
        raise InvalidInput("message", f"{len(data)} bytes that are no {name}") from None


class _GrpcCall(Call):
    """A call that asks grpc for what a handler looks at, when it looks: most handlers look at nothing."""

    __slots__ = ("_context", "size")

    def __init__(self, context: Context) -> None:
        self._context = context
        remaining = context.time_remaining()
        self.deadline = None if remaining is None else time.monotonic() + remaining
        self.identity = None
        self.admitted = False
        self.trailers = {}
        self.calls = None
        self.size: int | None = None
        """Bytes of its message, once that has come."""

    @property
    def metadata(self) -> Mapping[str, str | bytes]:  # type: ignore[override]
        pairs = tuple(self._context.invocation_metadata() or ())
        found = dict(pairs)
        if sum(key == "authorization" for key, _ in pairs) > 1:
            found["authorization"] = ""  # of two it cannot be told which is meant
        return found

    @property
    def peer(self) -> str:  # type: ignore[override]
        return str(self._context.peer())


async def _abort(context: Context, failure: Failure) -> NoReturn:
    await context.abort(failure.code, failure.message, failure.metadata())
    raise AssertionError("abort raises")


def _traced(answer: _Unary, method: Method) -> _Unary:
    """The same with one debug line a call."""

    async def traced(requests: Any, context: Context) -> bytes:
        began = time.perf_counter()
        size = None
        call = _GrpcCall(context)
        try:
            response = await answer(requests, context, call)
            size = len(response)
            return response
        finally:
            code = context.code()
            log.debug(
                "call",
                method=method.path,
                code=getattr(code, "name", None) or ("OK" if size is not None else "CANCELLED"),
                peer=context.peer(),
                request_bytes=call.size,
                response_bytes=size,
                ms=round((time.perf_counter() - began) * 1e3, 3),
            )

    return traced
