"""The message of an RPC becomes JSON and binary tensors."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from digits_protocol.inference import model_config_pb2 as config_pb
from digits_protocol.inference import model_repository_pb2 as repository_pb
from digits_protocol.inference import open_inference_pb2 as pb
from digits_protocol.inference import shared_memory_pb2 as memory_pb
from google.protobuf.message import Message

from service.api.open_inference.pictures import LENGTH_BYTES
from service.api.open_inference.rest.requests import BINARY_SIZE, InferRequest

_DTYPES: dict[str, np.dtype[Any]] = {"INT64": np.dtype("<i8"), "FP32": np.dtype("<f4")}
_LISTS: dict[type[Message], str] = {
    repository_pb.RepositoryIndexResponse: "models",
    memory_pb.SystemSharedMemoryStatusResponse: "regions",
    memory_pb.CudaSharedMemoryStatusResponse: "regions",
}
"""Answers that REST has without the message around them."""
_EMPTY = (
    repository_pb.RepositoryModelLoadResponse,
    repository_pb.RepositoryModelUnloadResponse,
    memory_pb.SystemSharedMemoryRegisterResponse,
    memory_pb.SystemSharedMemoryUnregisterResponse,
    memory_pb.CudaSharedMemoryUnregisterResponse,
)


def to_json(value: Any) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def write_infer(response: pb.ModelInferResponse, request: InferRequest) -> tuple[bytes, int]:
    """The body of an answer, and how much of it is JSON: 0 for all."""
    told: dict[str, Any] = {"id": response.id} if response.id else {}
    told |= {"model_name": response.model_name, "model_version": response.model_version}
    outputs: list[dict[str, Any]] = []
    told |= {"parameters": _parameters(response.parameters), "outputs": outputs}
    binary: list[bytes] = []
    for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        output = describe(tensor)
        outputs.append(output)
        if tensor.parameters:
            continue
        if request.is_binary(tensor.name):
            output["parameters"] = {BINARY_SIZE: len(raw)}
            binary.append(raw)
        elif tensor.datatype == "BYTES":
            output["data"] = _texts(raw)
        else:
            output["data"] = np.frombuffer(raw, _DTYPES[tensor.datatype]).tolist()
    head = to_json(told)
    return (b"".join((head, *binary)), len(head)) if binary else (head, 0)


def describe(tensor: pb.ModelInferResponse.InferOutputTensor) -> dict[str, Any]:
    """An output without its values. One with parameters has them in shared memory."""
    told = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    return told | ({"parameters": _parameters(tensor.parameters)} if tensor.parameters else {})


def _parameters(given: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    return {key: getattr(value, str(value.WhichOneof("parameter_choice"))) for key, value in given.items()}


def _texts(raw: bytes) -> list[str]:
    """The elements of a raw tensor BYTES."""
    texts, at = [], 0
    while at < len(raw):
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(raw[at:begin], "little")
        texts.append(raw[begin:at].decode())
    return texts


def write_other(response: Message) -> tuple[bool, bytes]:
    """Whether the answer of any other RPC is yes, and its body."""
    if isinstance(response, pb.ServerLiveResponse):
        return response.live, to_json({"live": response.live})
    if isinstance(response, pb.ServerReadyResponse | pb.ModelReadyResponse):
        return response.ready, to_json({"ready": response.ready})  # KServe's client reads it
    if isinstance(response, _EMPTY):
        return True, b""
    if isinstance(response, config_pb.ModelConfigResponse):
        return True, to_json(plain(response.config))
    told: Any = plain(response)
    if (key := _LISTS.get(type(response))) is not None:
        found = told[key]
        told = list(found.values()) if isinstance(found, dict) else found
        if key == "models":  # Triton leaves out what is empty
            told = [{name: value for name, value in each.items() if value} for each in found]
    return True, to_json(told)


def plain(message: Message) -> dict[str, Any]:
    """A message as a value of JSON: names as in its proto file, 64 bits as numbers, of messages only those set."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            of_value = field.message_type.fields_by_name["value"]
            found[field.name] = {key: _plain_value(of_value, value[key]) for key in value}
        elif field.is_repeated:
            found[field.name] = [_plain_value(field, each) for each in value]
        else:
            found[field.name] = _plain_value(field, value)
    return found


def _plain_value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value
