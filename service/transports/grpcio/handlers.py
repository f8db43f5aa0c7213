"""The table of methods as grpc.aio's handlers: bytes in, bytes out."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, NoReturn

import grpc

from engine.errors import MalformedCall
from engine.statistics import Calls
from service.api.errors import Failure
from service.api.method import Kind, Method
from service.api.pipeline import Pipeline
from service.telemetry.logs import debugging, log
from service.transports import limits

# How long a request without a message waits for its cancellation, before it is taken for malformed.
CANCELLATION_SECONDS = 1.0

ServicerContext = Any  # of grpc.aio, which grpcio does not type
_Unary = Callable[..., Awaitable[bytes]]  # of the message or the messages, ServicerContext, and perhaps GrpcioContext


class HandlerTable(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of a call by its path."""

    def __init__(self, pipeline: Pipeline) -> None:
        traced = debugging()
        self._handlers = {path: _handler(method, pipeline, traced) for path, method in pipeline.methods.items()}
        self.calls = 0
        """Calls that grpc has handed over since the start."""

    def service(self, handler_call_details: Any) -> Any:
        """See `grpc.GenericRpcHandler`."""
        self.calls += 1
        return self._handlers.get(handler_call_details.method)


def _handler(method: Method, pipeline: Pipeline, traced: bool) -> Any:
    if method.kind is Kind.STREAM:
        return grpc.stream_stream_rpc_method_handler(_stream(method, pipeline))
    # grpc enters the handler of a unary call once the message has come. Where the headers must be looked at before,
    # the method is given to grpc as a stream whose handler reads the only message; that makes small calls slower.
    reads = method.identify is not None or method.reserved
    unary = _unary(method, pipeline, reads=reads)
    answer = _traced(unary, method) if traced else unary
    return (grpc.stream_unary_rpc_method_handler if reads else grpc.unary_unary_rpc_method_handler)(answer)


def _unary(method: Method, pipeline: Pipeline, *, reads: bool) -> _Unary:
    """The method as a handler of grpc.aio, bytes in and bytes out; it `reads` the message itself or gets it."""

    async def answer(data: Any, servicer: ServicerContext, context: GrpcioContext | None = None) -> bytes:
        context = context or GrpcioContext(servicer)
        try:
            if reads:
                with pipeline.enter(method, context):
                    data = await _read_message(servicer)
                    context.size = len(data)
                    response = await pipeline.unary(method, context, data)
            else:
                context.size = len(data)
                response = await pipeline.unary(method, context, data)
            if context.trailers:
                servicer.set_trailing_metadata(tuple(context.trailers.items()))
            return response
        except asyncio.CancelledError:
            if context.calls is None:  # its handler, which counts, was not entered
                method.count_rejection("Cancelled")
            raise
        except Exception as error:
            failure = pipeline.failure(error, method, context)
            _clear_tracebacks(error)
        del data
        await pipeline.admission.wait_until_rejections_allowed()
        return await _abort(servicer, failure)

    return answer


def _stream(method: Method, pipeline: Pipeline) -> Callable[[Any, ServicerContext], AsyncIterator[bytes]]:
    """The same for a stream."""

    async def answers(requests: AsyncIterator[bytes], servicer: ServicerContext) -> AsyncIterator[bytes]:
        context = GrpcioContext(servicer)
        try:
            with pipeline.enter(method, context):
                async with aclosing(pipeline.stream(method, context, requests)) as responses:
                    async for response in responses:
                        yield response
            if context.trailers:
                servicer.set_trailing_metadata(tuple(context.trailers.items()))
            return
        except Exception as error:
            failure = pipeline.failure(error, method, context)
            _clear_tracebacks(error)
        await pipeline.admission.wait_until_rejections_allowed()
        await _abort(servicer, failure)

    return answers


async def _read_message(servicer: ServicerContext) -> bytes:
    """The message of a unary call. Raises `DeadlinePassed`, `MalformedCall` and `CancelledError`."""
    try:
        async with asyncio.timeout(limits.ARRIVAL_SECONDS):
            data = await servicer.read()
    except TimeoutError:
        raise limits.not_arrived() from None
    if data is grpc.aio.EOF:
        # Where the message was too large, or the client has gone, grpc cancels this task presently.
        await asyncio.sleep(CANCELLATION_SECONDS)
        raise MalformedCall("the request ended before its message was whole")
    return data  # type: ignore[no-any-return]


def _clear_tracebacks(error: BaseException | None) -> None:
    """Free the frames of an error and of its causes: they hold the request.

    grpc keeps what its `abort` raises until the garbage collector runs, and with it what was being handled then.
    For the same reason `abort` is called outside of the `except`.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class GrpcioContext:
    """Asks grpc for values only when a handler needs them: most need none."""

    __slots__ = ("_servicer", "admitted", "began", "calls", "deadline", "identity", "size", "trailers")

    def __init__(self, servicer: ServicerContext) -> None:
        self._servicer = servicer
        remaining = servicer.time_remaining()
        self.deadline = None if remaining is None else time.monotonic() + remaining
        self.identity: str | None = None
        self.admitted = False
        self.trailers: dict[str, str | bytes] = {}
        self.calls: Calls | None = None
        self.began = 0
        self.size: int | None = None
        """Bytes of its message, once that has arrived."""

    @property
    def metadata(self) -> Mapping[str, str | bytes]:
        """See `Context`."""
        pairs = tuple(self._servicer.invocation_metadata() or ())
        found = dict(pairs)
        if sum(key == "authorization" for key, _ in pairs) > 1:
            found["authorization"] = ""  # two tokens are ambiguous, so neither is valid
        return found

    @property
    def peer(self) -> str:
        """See `Context`."""
        return str(self._servicer.peer())


async def _abort(servicer: ServicerContext, failure: Failure) -> NoReturn:
    await servicer.abort(failure.code, failure.message, failure.metadata())
    raise AssertionError("abort raises")


def _traced(answer: _Unary, method: Method) -> _Unary:
    """The same with one debug line a call."""

    async def traced(data: Any, servicer: ServicerContext) -> bytes:
        began = time.perf_counter()
        size = None
        context = GrpcioContext(servicer)
        try:
            response = await answer(data, servicer, context)
            size = len(response)
            return response
        finally:
            code = servicer.code()
            log.debug(
                "call",
                method=method.path,
                code=getattr(code, "name", None) or ("OK" if size is not None else "CANCELLED"),
                peer=servicer.peer(),
                request_bytes=context.size,
                response_bytes=size,
                ms=round((time.perf_counter() - began) * 1e3, 3),
            )

    return traced
