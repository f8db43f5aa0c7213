"""A unary call by messages and by bytes: whatever the quick form answers must be what the handler answers."""

import re
from typing import Any

import pytest
from digits_protocol.digits.v1 import digits_pb2
from digits_protocol.inference import open_inference_pb2
from google.protobuf.message import Message

from service.api.method import Kind, LocalContext, Method


async def both_ways(
    method: Method, request: Message, *, fast_path: bool | None = None, call: LocalContext | None = None
) -> Any:
    """The handler's answer, or its error, once the quick form was found to agree with it or to leave it the call.

    `fast_path` says whether the quick form must, or must not, have taken it.
    """
    assert method.kind is Kind.UNARY
    assert isinstance(request, method.request)
    call = call or LocalContext()
    taken: Any = None
    if method.fast_path is not None:
        try:
            for _ in range(2):  # the second time from what the first has remembered
                written = await answer_by_fast_path(method, b"before" + request.SerializeToString(), 6, call)
                taken = None if written is None else method.response.FromString(written)
        except Exception as error:
            taken = error
    assert fast_path is None or fast_path == (taken is not None)
    if isinstance(taken, Exception):
        with pytest.raises(type(taken), match=f"^{re.escape(str(taken))}$"):
            await method.handler(request, call)
        raise taken
    answer = await method.handler(request, call)
    assert isinstance(answer, method.response)
    if taken is not None:
        assert timeless(taken) == timeless(answer)
    return answer


async def answer_by_fast_path(method: Method, data: bytes, start: int, context: LocalContext) -> bytes | None:
    """As a transport does: the call is counted when it ends. None where the handler must take the request."""
    future = None if method.fast_path is None else method.fast_path(data, start, context)
    if future is None:
        return None
    try:
        answer = await future
    except Exception as error:
        method.fast_path_ended(context, error)
        raise
    method.fast_path_ended(context, None)
    return answer


def timeless(answer: Message) -> Message:
    """An answer without what two equal calls may differ in."""
    copy = type(answer)()
    copy.CopyFrom(answer)
    if isinstance(copy, open_inference_pb2.ModelInferResponse):
        assert copy.parameters.pop("queue_us").int64_param >= 0
        assert copy.parameters.pop("inference_us").int64_param > 0
    elif isinstance(copy, digits_pb2.ClassifyResponse):
        assert copy.timings.inference_us > 0
        copy.timings.queue_us = copy.timings.inference_us = 0
    return copy
