"""A client of the Open Inference Protocol for many rows: raw pixels in, scores out, without a message for each row.

Its messages have a descriptor pool of their own: tritonclient registers the same names in the default pool of protobuf,
so both could not share a process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any, Self

import grpc
import numpy as np
from digits_protocol.wire import tag, varint
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

from digits_client.connection.channel import Deadline, Metadata, check_metadata, check_timeout
from digits_client.connection.channels import Channels
from digits_client.connection.endpoint import Endpoint
from digits_client.connection.trace import trace_metadata
from digits_client.errors import Result, ServerError, read_answer

SERVICE = "inference.GRPCInferenceService"
INPUT = "pixels"
LABEL = "label"
SCORES = "scores"
NOT_A_DIGIT = "not_a_digit"

# The tag of raw_input_contents in ModelInferRequest; the field may follow the rest of the message.
_RAW = bytes([tag(7)])


@cache
def message(name: str) -> Any:
    """The class of the message `inference.<name>`, from the pool of this module."""
    return GetMessageClass(_pool().FindMessageTypeByName(f"inference.{name}"))


@cache
def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    described = files("digits_protocol").joinpath("inference", "descriptors.binpb").read_bytes()
    for file in FileDescriptorSet.FromString(described).file:
        pool.Add(file)
    return pool


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A version that is ready on a server."""

    name: str
    version: str
    sha256: str
    """Of model.onnx, 64 hexadecimal digits."""
    execution_provider: str
    properties: Mapping[str, str]
    """The fields of its card by name; values that are not text as JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """The results of some rows."""

    labels: NDArray[np.int64]
    """int64 [N]."""
    scores: NDArray[np.float32]
    """float32 [N, classes]."""
    sha256: str
    """Of the model that gave the results."""
    not_a_digit: NDArray[np.float32] | None = None
    """float32 [N], the chances that there is no digit; None unless requested."""


@dataclass(frozen=True, slots=True)
class Window:
    """Offsets of the values of a call in a registered shared-memory region, in bytes."""

    region: str
    pixels: int
    labels: int
    scores: int


class InferenceClient:
    """One connection to a server, for any number of threads. A failed call is not repeated.

    Each call raises a `DigitsError` if it fails. It has the client's timeout, or a `deadline`, which several calls may
    share.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 30.0,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
    ) -> None:
        """A client of the server at `target`. It connects at the first call.

        `timeout` is the deadline of each call in seconds. Raises `ValueError` or `TypeError` for an invalid option.
        """
        endpoint = Endpoint(target, credentials)
        self.place = str(endpoint)
        self._timeout = check_timeout(timeout)
        self._metadata = tuple(metadata)
        check_metadata(self._metadata)
        self._channels = Channels(endpoint)
        self._templates: dict[Any, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Calls in flight and later calls raise `ClientClosed`."""
        self._channels.close()

    def model(self, name: str, version: str, *, deadline: Deadline | None = None) -> ServedModel:
        """The version that serves requests with these names; empty: the default model, its newest ready version."""
        response = self._call("ModelMetadata", deadline, name=name, version=version)
        properties = dict(response.properties)
        missing = [key for key in ("sha256", "execution_provider", "version") if key not in properties]
        if missing:
            raise ServerError(
                f"the metadata of model {response.name} on {self.place} has no {missing[0]}, expected a digits server"
            )
        return ServedModel(
            name=response.name,
            version=properties["version"],
            sha256=properties["sha256"],
            execution_provider=properties["execution_provider"],
            properties=properties,
        )

    def infer(
        self,
        model: str,
        version: str,
        pixels: NDArray[np.uint8],
        classes: int,
        *,
        chances: bool = False,
        deadline: Deadline | None = None,
    ) -> Inferred:
        """The scores of `pixels`, uint8 [N, rows*cols], C-contiguous, by a model with that number of classes.

        With `chances` also the chances that there is no digit, of a model that computes them.
        """
        rows, features = pixels.shape
        key = (model, version, rows, features, chances)
        template = self._templates.get(key)
        if template is None:
            request = _request(model, version, rows, features)
            for name in (LABEL, SCORES, NOT_A_DIGIT) if chances else ():
                request.outputs.add(name=name)
            template = self._templates[key] = request.SerializeToString() + _RAW + varint(rows * features)
        return self._infer_call(
            b"".join((template, pixels.data)), deadline, partial(_inferred, rows=rows, classes=classes, chances=chances)
        )

    def infer_shared(
        self,
        model: str,
        version: str,
        shape: tuple[int, ...],
        classes: int,
        window: Window,
        *,
        deadline: Deadline | None = None,
    ) -> str:
        """Score pixels of `shape` [N, rows*cols] in `window`; labels (int64) and scores (float32) are written there.

        Returns the SHA-256 of the model.
        """
        rows, features = shape
        key = (model, version, shape, window)
        data = self._templates.get(key)
        if data is None:
            request = _request(model, version, rows, features)
            _place(request.inputs[0], window.region, window.pixels, rows * features)
            for name, offset, size in ((LABEL, window.labels, 8 * rows), (SCORES, window.scores, 4 * rows * classes)):
                _place(request.outputs.add(name=name), window.region, offset, size)
            data = self._templates[key] = request.SerializeToString()
        return self._infer_call(data, deadline, _sha256)

    def register(self, region: str, key: str, size: int, *, deadline: Deadline | None = None) -> None:
        """Let the server open the shared-memory object `key` of `size` bytes as `region`.

        Raises `InvalidInput` if the object does not exist or its name is not allowed, and `ServerError` if the server
        uses no shared memory.
        """
        self._call("SystemSharedMemoryRegister", deadline, name=region, key=key, offset=0, byte_size=size)

    def regions(self, *, deadline: Deadline | None = None) -> tuple[str, ...]:
        """Names of the open regions of the server."""
        return tuple(self._call("SystemSharedMemoryStatus", deadline).regions)

    def unregister(self, region: str, *, deadline: Deadline | None = None) -> None:
        """Close that region on the server. Idempotent."""
        self._call("SystemSharedMemoryUnregister", deadline, name=region)

    def _infer_call(self, data: bytes, deadline: Deadline | None, read: Callable[[Any], Result]) -> Result:
        return read_answer(self._send("ModelInfer", deadline, data), message("ModelInferResponse"), read, self.place)

    def _call(self, method: str, deadline: Deadline | None, **fields: Any) -> Any:
        answer = self._send(method, deadline, message(f"{method}Request")(**fields).SerializeToString())
        return read_answer(answer, message(f"{method}Response"), lambda response: response, self.place)

    def _send(self, method: str, deadline: Deadline | None, data: bytes) -> bytes:
        deadline = deadline or Deadline(self._timeout, self.place)
        with self._channels.calling(deadline):
            call = self._channels.next().unary_unary(f"/{SERVICE}/{method}")  # bytes in, bytes out
            answer: bytes = call(data, timeout=deadline.left(), metadata=trace_metadata(self._metadata))
        return answer


def _inferred(response: Any, *, rows: int, classes: int, chances: bool) -> Inferred:
    labels, scores, *others = response.raw_output_contents
    if len(labels) != 8 * rows or len(scores) != 4 * rows * classes:
        raise ValueError(
            f"{len(labels)} bytes of labels and {len(scores)} of scores, expected {8 * rows} and {4 * rows * classes}"
        )
    if [len(each) for each in others] != [4 * rows] * chances:
        raise ValueError(f"further outputs of {[len(each) for each in others]} bytes, expected {[4 * rows] * chances}")
    return Inferred(
        np.frombuffer(labels, "<i8"),
        np.frombuffer(scores, "<f4").reshape(rows, classes),
        _sha256(response),
        np.frombuffer(others[0], "<f4") if chances else None,
    )


def _sha256(response: Any) -> str:
    text: str = response.parameters["sha256"].string_param
    return text


def _request(model: str, version: str, rows: int, features: int) -> Any:
    request = message("ModelInferRequest")(model_name=model, model_version=version)
    request.inputs.add(name=INPUT, datatype="UINT8", shape=[rows, features])
    return request


def _place(tensor: Any, region: str, offset: int, size: int) -> None:
    tensor.parameters["shared_memory_region"].string_param = region
    tensor.parameters["shared_memory_byte_size"].int64_param = size
    tensor.parameters["shared_memory_offset"].int64_param = offset
