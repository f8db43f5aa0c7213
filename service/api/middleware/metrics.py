"""Each call is counted, however it ends: by its method, and by the version of a model that it found."""

import asyncio
import math
import time
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf.message import Message

from engine.errors import ServiceError
from service.api.method import Call, Kind, Method

# Timers of fronts may give a call up this long before its deadline.
EARLY_SECONDS = 0.01

T = TypeVar("T")


def counted(method: Method) -> Method:
    """The same method, its calls counted where `Call.calls` says at their end: in `Method.calls` unless the
    handler found a version to count them for. A stream is one call; its messages are counted apart.
    """
    counts, handler, fast_path = method.counts, method.handler, method.fast_path

    async def answer(request: Any, call: Call) -> Message:
        call.calls = counts.calls
        counts.in_flight += 1
        began = time.perf_counter_ns()
        try:
            response: Message = await handler(request, call)  # type: ignore[misc]
        except BaseException as error:
            call.calls.failed(_reason(error, call), time.perf_counter_ns() - began)
            raise
        finally:
            counts.in_flight -= 1
        call.calls.times.add(time.perf_counter_ns() - began)
        return response

    def start_fast_path(data: bytes, start: int, call: Call) -> Future[bytes] | None:
        call.calls = counts.calls
        call.began = time.perf_counter_ns()
        try:
            future = fast_path(data, start, call)  # type: ignore[misc]
        except Exception as error:
            call.calls.failed(_reason(error, call), time.perf_counter_ns() - call.began)
            raise
        if future is not None:
            counts.in_flight += 1
        return future

    def ended(call: Call, error: BaseException | None) -> None:
        counts.in_flight -= 1
        taken = time.perf_counter_ns() - call.began
        if error is None:
            call.calls.times.add(taken)  # type: ignore[union-attr]
        else:
            call.calls.failed(_reason(error, call), taken)  # type: ignore[union-attr]

    async def answers(requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Message]:
        call.calls = counts.messages
        counts.in_flight += 1
        began = time.perf_counter_ns()
        try:
            async with aclosing(handler(requests, call)) as responses:  # type: ignore[type-var]
                async for response in responses:  # type: ignore[union-attr]
                    yield response
        except BaseException as error:
            counts.calls.failed(_reason(error, call), time.perf_counter_ns() - began)
            raise
        finally:
            counts.in_flight -= 1
        counts.calls.times.add(time.perf_counter_ns() - began)

    if method.kind is Kind.STREAM:
        return replace(method, handler=answers)
    if fast_path is None:
        return replace(method, handler=answer)
    return replace(method, handler=answer, fast_path=start_fast_path, ended=ended)


async def try_fast_path(method: Method, data: bytes, start: int, call: Call) -> bytes | None:
    """The serialized answer where the method has a quick form and the request is one for it, see `Method.fast_path`."""
    if method.fast_path is None or (future := method.fast_path(data, start, call)) is None:
        return None
    try:
        written = await future
    except BaseException as error:
        method.ended(call, error)
        raise
    method.ended(call, None)
    return written


async def counted_message(work: Awaitable[T], call: Call) -> T:
    """What `work` gives for one message of a stream; `call` is of the message alone."""
    began = time.perf_counter_ns()
    try:
        result = await work
    except BaseException as error:
        if call.calls is not None:
            call.calls.failed(_reason(error, call), time.perf_counter_ns() - began)
        raise
    if call.calls is not None:
        call.calls.times.add(time.perf_counter_ns() - began)
    return result


def _reason(error: BaseException, call: Call) -> str:
    if isinstance(error, ServiceError):
        return type(error).__name__
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        left = math.inf if call.deadline is None else call.deadline - time.monotonic()
        return "Expired" if left <= EARLY_SECONDS else "Cancelled"
    return "Internal"
