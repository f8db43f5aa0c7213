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
from service.telemetry.call_ids import REQUEST_ID, TRACEPARENT, TRACESTATE, CallIds, read_ids
from service.telemetry.calls import CallRecord
from service.transports import limits

# How long a request without a message waits for its cancellation, before it is taken for malformed.
CANCELLATION_SECONDS = 1.0

ServicerContext = Any  # of grpc.aio, which grpcio does not type
_Unary = Callable[[Any, ServicerContext], Awaitable[bytes]]  # of the message or the messages


class HandlerTable(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of a call by its path."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._handlers = {path: _handler(method, pipeline) for path, method in pipeline.methods.items()}
        self.calls = 0
        """Calls that grpc has handed over since the start."""

    def service(self, handler_call_details: Any) -> Any:
        """See `grpc.GenericRpcHandler`."""
        self.calls += 1
        return self._handlers.get(handler_call_details.method)


def _handler(method: Method, pipeline: Pipeline) -> Any:
    if method.kind is Kind.STREAM:
        return grpc.stream_stream_rpc_method_handler(_stream(method, pipeline))
    # grpc enters the handler of a unary call once the message has come. Where the headers must be looked at before,
    # the method is given to grpc as a stream whose handler reads the only message; that makes small calls slower.
    reads = method.identify is not None or method.reserved
    answer = _unary(method, pipeline, reads=reads)
    return (grpc.stream_unary_rpc_method_handler if reads else grpc.unary_unary_rpc_method_handler)(answer)


def _unary(method: Method, pipeline: Pipeline, *, reads: bool) -> _Unary:
    """The method as a handler of grpc.aio, bytes in and bytes out; it `reads` the message itself or gets it."""

    async def answer(data: Any, servicer: ServicerContext) -> bytes:
        context = GrpcioContext(servicer)
        try:
            if reads:
                with pipeline.enter(method, context):
                    data = await _read_message(servicer)
                    context.size = len(data)
                    response = await pipeline.unary(method, context, data)
            else:
                context.size = len(data)
                pipeline.verify(method, context)
                response = await pipeline.unary(method, context, data)
            _end(servicer, context, len(response))
            return response
        except asyncio.CancelledError:
            if context.calls is None:  # its handler, which counts, was not entered
                method.count_rejection("Cancelled")
            context.end("CANCELLED")
            raise
        except Exception as error:
            failure = pipeline.failure(error, method, context)
            _clear_tracebacks(error)
        del data
        context.end(failure.code.name)
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
            _end(servicer, context)
            return
        except (asyncio.CancelledError, GeneratorExit):
            context.end("CANCELLED")
            raise
        except Exception as error:
            failure = pipeline.failure(error, method, context)
            _clear_tracebacks(error)
        context.end(failure.code.name)
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

    __slots__ = (
        "_servicer", "admitted", "began", "calls", "deadline", "identity", "known_ids", "record", "size", "trailers",
    )  # fmt: skip

    def __init__(self, servicer: ServicerContext) -> None:
        self._servicer = servicer
        remaining = servicer.time_remaining()
        self.deadline = None if remaining is None else time.monotonic() + remaining
        self.identity: str | None = None
        self.admitted = False
        self.trailers: dict[str, str | bytes] = {}
        self.calls: Calls | None = None
        self.began = 0
        self.known_ids: CallIds | None = None
        self.record: CallRecord | None = None
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

    @property
    def has_ids(self) -> bool:
        """Whether something was recorded under its identifiers, or the client sent some."""
        sent = self._servicer.invocation_metadata() or ()
        return self.known_ids is not None or any(key in (REQUEST_ID, TRACEPARENT) for key, _ in sent)

    def ids(self) -> CallIds:
        """See `Context`."""
        if self.known_ids is None:
            sent = dict(self._servicer.invocation_metadata() or ()).get
            self.known_ids = read_ids(sent(REQUEST_ID), sent(TRACEPARENT), sent(TRACESTATE))
        return self.known_ids

    def end(self, code: str, response_bytes: int | None = None) -> None:
        """The call ends with this status."""
        if self.record is not None:
            self.record.end(code, request_bytes=self.size, response_bytes=response_bytes)


def _end(servicer: ServicerContext, context: GrpcioContext, response_bytes: int | None = None) -> None:
    """End a call that went well."""
    if context.trailers or context.has_ids:
        servicer.set_trailing_metadata(tuple((context.ids().headers() | context.trailers).items()))
    context.end("OK", response_bytes)


async def _abort(servicer: ServicerContext, failure: Failure) -> NoReturn:
    await servicer.abort(failure.code, failure.message, failure.metadata())
    raise AssertionError("abort raises")
