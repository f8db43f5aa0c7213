"""Counts each call, however it ends, for its method and for the version of a model that it found."""

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
from service.api.method import Context, Kind, Method

# Seconds before its deadline in which a transport may already cancel a call.
EARLY_SECONDS = 0.01

T = TypeVar("T")


def count_calls(method: Method) -> Method:
    """The same method; each call is added to the statistics that `Context.calls` names when it ends.

    Those are of the method, unless the handler finds a version. A stream is one call; its messages are counted apart.
    """
    counts, handler, fast_path = method.counts, method.handler, method.fast_path

    async def answer(request: Any, context: Context) -> Message:
        context.calls = counts.calls
        counts.in_flight += 1
        began = time.perf_counter_ns()
        try:
            response: Message = await handler(request, context)  # type: ignore[misc]
        except BaseException as error:
            context.calls.failed(_reason(error, context), time.perf_counter_ns() - began)
            raise
        finally:
            counts.in_flight -= 1
        context.calls.times.add(time.perf_counter_ns() - began)
        return response

    def start_fast_path(data: bytes, start: int, context: Context) -> Future[bytes] | None:
        context.calls = counts.calls
        context.began = time.perf_counter_ns()
        try:
            future = fast_path(data, start, context)  # type: ignore[misc]
        except Exception as error:
            context.calls.failed(_reason(error, context), time.perf_counter_ns() - context.began)
            raise
        if future is None:
            context.calls = None  # not entered: the handler will be
        else:
            counts.in_flight += 1
        return future

    def fast_path_ended(context: Context, error: BaseException | None) -> None:
        counts.in_flight -= 1
        taken = time.perf_counter_ns() - context.began
        if error is None:
            context.calls.times.add(taken)  # type: ignore[union-attr]
        else:
            context.calls.failed(_reason(error, context), taken)  # type: ignore[union-attr]

    async def answers(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Message]:
        context.calls = counts.messages
        counts.in_flight += 1
        began = time.perf_counter_ns()
        try:
            async with aclosing(handler(requests, context)) as responses:  # type: ignore[type-var]
                async for response in responses:  # type: ignore[union-attr]
                    yield response
        except BaseException as error:
            counts.calls.failed(_reason(error, context), time.perf_counter_ns() - began)
            raise
        finally:
            counts.in_flight -= 1
        counts.calls.times.add(time.perf_counter_ns() - began)

    if method.kind is Kind.STREAM:
        return replace(method, handler=answers)
    if fast_path is None:
        return replace(method, handler=answer)
    return replace(method, handler=answer, fast_path=start_fast_path, fast_path_ended=fast_path_ended)


async def count_message(work: Awaitable[T], context: Context) -> T:
    """Await `work` for one message of a stream, and count the message; `context` is of the message alone."""
    began = time.perf_counter_ns()
    try:
        result = await work
    except BaseException as error:
        if context.calls is not None:
            context.calls.failed(_reason(error, context), time.perf_counter_ns() - began)
        raise
    if context.calls is not None:
        context.calls.times.add(time.perf_counter_ns() - began)
    return result


def _reason(error: BaseException, context: Context) -> str:
    if isinstance(error, ServiceError):
        return type(error).__name__
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        remaining = math.inf if context.deadline is None else context.deadline - time.monotonic()
        return "Expired" if remaining <= EARLY_SECONDS else "Cancelled"
    return "Internal"
