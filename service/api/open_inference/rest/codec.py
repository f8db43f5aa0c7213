"""A call of REST, and how its messages are read and written."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from digits_protocol.inference import open_inference_pb2 as pb
from google.protobuf.message import Message

from engine.errors import InvalidInput
from engine.models.repository import Repository
from service.api.method import LocalContext, Method, Methods
from service.api.open_inference.rest.requests import (
    MAX_VALUES,
    InferRequest,
    PathFields,
    raw_request,
    read_infer,
    read_object,
    read_other,
)
from service.api.open_inference.rest.responses import write_infer, write_other
from service.api.open_inference.terms import find_version

# Pixels of an image, with room for larger ones than those of MNIST.
_VALUES_OF_A_ROW = 1024
# Bytes from which on JSON is read or written in a thread, so that the event loop gets its turns.
THREAD_BYTES = 32 * 1024

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class RestCall(LocalContext):
    """The context of a call of REST."""

    fields: PathFields = field(default_factory=dict)
    """Fields of the request that stand in the path."""
    infer: InferRequest | None = None
    """The request of ModelInfer, once it is read."""
    ok: bool = True
    """Whether the answer is yes, for those that HTTP gives by its status."""
    json_bytes: int = 0
    """Of the answer, before the binary tensors; 0 if there are none."""


class RestCodec:
    """Reads and writes messages as `service.api.pipeline.Codec`. The JSON of a request is `data[:start]`."""

    def __init__(self, repository: Repository, max_rows: int) -> None:
        """`max_rows` is the most images in one call."""
        self._repository = repository
        self._max_values = MAX_VALUES + max_rows * _VALUES_OF_A_ROW

    async def read(self, method: Method, context: Any, data: bytes, start: int) -> Message:
        """The request. Raises `InvalidInput`, and what finding a model raises."""
        call: RestCall = context
        if method.request is not pb.ModelInferRequest:
            return await _in_thread(start, read_other, call.fields, method.request, data[:start])
        binary = memoryview(data)[start:]
        if not start and data:
            call.infer = await self._read_raw(call.fields, binary)
        else:
            call.infer = await _in_thread(start, self._read_infer, call.fields, data[:start], binary)
        return call.infer.message

    def _read_infer(self, path: PathFields, text: bytes, binary: memoryview) -> InferRequest:
        return read_infer(path, read_object(text, self._max_values), binary)

    async def _read_raw(self, path: PathFields, pixels: memoryview) -> InferRequest:
        version = await find_version(
            self._repository, path["model_name"], path.get("model_version", ""), "model_version"
        )
        features = version.session.card.features
        if len(pixels) % features:
            raise InvalidInput("body", f"has {len(pixels)} bytes, expected {features} an image, one byte a pixel")
        return raw_request(path, features, pixels)

    async def write(self, response: Any, context: Any) -> bytes:
        """The body of the answer."""
        call: RestCall = context
        if call.infer is None:
            call.ok, body = write_other(response)
            return body
        body, call.json_bytes = await _in_thread(response.ByteSize(), write_infer, response, call.infer)
        return body


@dataclass(frozen=True, slots=True)
class RestApi:
    """What a transport of REST serves."""

    methods: Methods
    """The RPCs, with a fast path for ModelInfer over REST."""
    codec: RestCodec


async def _in_thread(size: int, work: Callable[..., T], *args: Any) -> T:
    """The result of `work`, run in a thread if `size` bytes are much."""
    return work(*args) if size < THREAD_BYTES else await asyncio.to_thread(work, *args)
