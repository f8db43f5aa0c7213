"""The Open Inference Protocol as a client of many rows speaks it: raw pixels in, scores out, no message per row.

Its messages live in a descriptor pool of their own: in protobuf's default pool tritonclient registers the same
names, and the two could not be in one process.
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
from digits_client.errors import Answer, ServerError, read_answer

SERVICE = "inference.GRPCInferenceService"
INPUT = "pixels"
LABEL = "label"
SCORES = "scores"

# The tag of raw_input_contents in ModelInferRequest; the field may follow the rest of the message.
_RAW = bytes([tag(7)])


@cache
def message(name: str) -> Any:
    """The class of the message `inference.<name>`, registered nowhere but here."""
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
    """What its card says, by the name of the field; what is no text as JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What the model says of some rows."""

    labels: NDArray[np.int64]
    """int64 [N]."""
    scores: NDArray[np.float32]
    """float32 [N, classes]."""
    sha256: str
    """Of the model that answered."""


@dataclass(frozen=True, slots=True)
class Window:
    """Where the values of a call lie in a registered region of shared memory, in bytes from its start."""

    region: str
    pixels: int
    labels: int
    scores: int


class InferenceClient:
    """One connection to a server of the protocol, and a client's calls on it, each tried once.

    May be used from several threads. Every call raises a `DigitsError` when it fails, and has the client's timeout
    unless it is given a `deadline`, which several calls may have in common.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 30.0,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
    ) -> None:
        """A client of the server at `target`, which it connects to with the first call.

        `timeout` is the deadline of each call in seconds. Raises `ValueError` or `TypeError` for an address or
        a timeout that cannot be one.
        """
        endpoint = Endpoint(target, credentials)
        self.place = str(endpoint)
        self._timeout = check_timeout(timeout)
        self._metadata = tuple(metadata)
        check_metadata(self._metadata)
        self._channels = Channels(endpoint)
        self._heads: dict[Any, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight, and all later ones, end with `ClientClosed`."""
        self._channels.close()

    def model(self, name: str, version: str, *, deadline: Deadline | None = None) -> ServedModel:
        """What answers to that name and version; empty: the server's default model, its newest ready version."""
        response = self._call("ModelMetadata", deadline, name=name, version=version)
        properties = dict(response.properties)
        missing = [key for key in ("sha256", "execution_provider", "version") if key not in properties]
        if missing:
            raise ServerError(f"{self.place} tells no {missing[0]} of model {response.name}: it is no digits server")
        return ServedModel(
            name=response.name,
            version=properties["version"],
            sha256=properties["sha256"],
            execution_provider=properties["execution_provider"],
            properties=properties,
        )

    def infer(
        self, model: str, version: str, pixels: NDArray[np.uint8], classes: int, *, deadline: Deadline | None = None
    ) -> Inferred:
        """The scores of `pixels`, uint8 [N, rows*cols], C-contiguous, by a model of so many classes."""
        rows, features = pixels.shape
        key = (model, version, rows, features)
        head = self._heads.get(key)
        if head is None:
            request = _request(model, version, rows, features)
            head = self._heads[key] = request.SerializeToString() + _RAW + varint(rows * features)
        return self._infer_call(b"".join((head, pixels.data)), deadline, partial(_inferred, rows=rows, classes=classes))

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
        """Score pixels of `shape` [N, rows*cols] that lie in `window`; labels (int64) and scores (float32) go there.

        Returns the SHA-256 of the model that answered.
        """
        rows, features = shape
        key = (model, version, shape, window)
        data = self._heads.get(key)
        if data is None:
            request = _request(model, version, rows, features)
            _place(request.inputs[0], window.region, window.pixels, rows * features)
            for name, offset, size in ((LABEL, window.labels, 8 * rows), (SCORES, window.scores, 4 * rows * classes)):
                _place(request.outputs.add(name=name), window.region, offset, size)
            data = self._heads[key] = request.SerializeToString()
        return self._infer_call(data, deadline, _sha256)

    def register(self, region: str, key: str, size: int, *, deadline: Deadline | None = None) -> None:
        """Let the server open the shared-memory object `key` of `size` bytes as `region`.

        Raises `InvalidInput` when it has no such object or none of that name may be used, and `ServerError`
        when it uses no shared memory at all.
        """
        self._call("SystemSharedMemoryRegister", deadline, name=region, key=key, offset=0, byte_size=size)

    def regions(self, *, deadline: Deadline | None = None) -> tuple[str, ...]:
        """Names of the regions that the server has open."""
        return tuple(self._call("SystemSharedMemoryStatus", deadline).regions)

    def unregister(self, region: str, *, deadline: Deadline | None = None) -> None:
        """Let the server forget that region; one that it does not have is no error."""
        self._call("SystemSharedMemoryUnregister", deadline, name=region)

    def _infer_call(self, data: bytes, deadline: Deadline | None, read: Callable[[Any], Answer]) -> Answer:
        return read_answer(self._send("ModelInfer", deadline, data), message("ModelInferResponse"), read, self.place)

    def _call(self, method: str, deadline: Deadline | None, **fields: Any) -> Any:
        answer = self._send(method, deadline, message(f"{method}Request")(**fields).SerializeToString())
        return read_answer(answer, message(f"{method}Response"), lambda response: response, self.place)

    def _send(self, method: str, deadline: Deadline | None, data: bytes) -> bytes:
        deadline = deadline or Deadline(self._timeout, self.place)
        with self._channels.calling(deadline):
            call = self._channels.next().unary_unary(f"/{SERVICE}/{method}")  # bytes in, bytes out
            answer: bytes = call(data, timeout=deadline.left(), metadata=self._metadata)
        return answer


def _inferred(response: Any, *, rows: int, classes: int) -> Inferred:
    labels, scores = response.raw_output_contents
    if len(labels) != 8 * rows or len(scores) != 4 * rows * classes:
        raise ValueError(
            f"{len(labels)} bytes of labels and {len(scores)} of scores, expected {8 * rows} and {4 * rows * classes}"
        )
    return Inferred(
        np.frombuffer(labels, "<i8"), np.frombuffer(scores, "<f4").reshape(rows, classes), _sha256(response)
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
