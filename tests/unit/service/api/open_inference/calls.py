"""Requests of the Open Inference Protocol, and the handlers of an app to send them to."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from digits_protocol.inference import open_inference_pb2 as pb
from google.protobuf.message import Message

from service.api.method import LocalContext
from service.app import App
from tests.unit.service.api.fast_path_equivalence import both_ways

STEM = "/inference.GRPCInferenceService/"
MNIST, SMALL = "mnist-16x16", "digits-8x8"


async def ask(app: App, name: str, request: Message, fast_path: bool | None = None) -> Any:
    """The answer of a unary method; `fast_path`: see `both_ways`."""
    return await both_ways(app.methods[STEM + name], request, fast_path=fast_path)


async def ask_once(app: App, name: str, request: Message) -> Any:
    """The same by the handler alone, for who counts."""
    return await app.methods[STEM + name].handler(request, LocalContext())


def raw(pixels: np.ndarray, *outputs: str, **fields: Any) -> pb.ModelInferRequest:
    """A request with raw contents, UINT8 or FP32 as `pixels` is."""
    request = pb.ModelInferRequest(**{"model_name": MNIST, **fields})
    datatype = {"uint8": "UINT8", "float32": "FP32"}[str(pixels.dtype)]
    request.inputs.add(name="pixels", datatype=datatype, shape=pixels.shape)
    request.raw_input_contents.append(pixels.tobytes())
    for output in outputs:
        request.outputs.add(name=output)
    return request


def typed(pixels: np.ndarray, *outputs: str, **fields: Any) -> pb.ModelInferRequest:
    """The same with typed contents."""
    request = raw(pixels, *outputs, **fields)
    del request.raw_input_contents[:]
    contents = request.inputs[0].contents
    target = contents.uint_contents if pixels.dtype == np.uint8 else contents.fp32_contents
    target.extend(pixels.ravel().tolist())
    return request


def arrays(response: pb.ModelInferResponse) -> dict[str, np.ndarray]:
    """The raw outputs by name, in their order."""
    error_classes = {"INT64": np.int64, "FP32": np.float32}
    return {
        output.name: np.frombuffer(data, error_classes[output.datatype]).reshape(output.shape)
        for output, data in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def strings(data: bytes) -> list[str]:
    """The elements of a raw BYTES tensor."""
    found = []
    while data:
        size = int.from_bytes(data[:4], "little")
        found.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return found


def parameters(message: Any) -> dict[str, Any]:
    """Parameters as plain values."""
    return {key: getattr(value, value.WhichOneof("parameter_choice")) for key, value in message.parameters.items()}


def set_parameters(message: Any, **values: Any) -> None:
    """Set parameters by the type of their values."""
    for key, value in values.items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
        setattr(message.parameters[key], kind, value)


async def stream(app: App, requests: Iterable[pb.ModelInferRequest]) -> list[pb.ModelStreamInferResponse]:
    """The answers of ModelStreamInfer."""

    async def send():
        for request in requests:
            yield request

    return [answer async for answer in app.methods[STEM + "ModelStreamInfer"].handler(send(), LocalContext())]
