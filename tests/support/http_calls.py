"""Calls of the HTTP side, as curl would make them."""

import base64
import json

from google.protobuf.message import Message

from tests.support.server import STEM, Server

CLASSIFY = STEM + "Classify"
METHOD = "digits.v1.DigitsService/Classify"
INFER = "inference.GRPCInferenceService/ModelInfer"
JSON = {"content_type": "application/json"}
MNIST = ("mnist-16x16", "2")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def ask(server: Server, message: dict, path: str = CLASSIFY, **headers: str) -> tuple[int, dict, dict]:
    """Status, headers and the JSON of the answer."""
    status, told, body = server.http(path, json.dumps(message).encode(), **(JSON | headers))
    return status, told, json.loads(body)


def infer(server: Server, pixels: bytes, model: str = MNIST[0], **headers: str) -> tuple[int, dict, bytes]:
    """The answer of ModelInfer over REST to pixels alone: status, headers and body."""
    return server.http(f"/v2/models/{model}/infer", pixels, inference_header_content_length="0", **headers)


def infer_binary(pixels: bytes, rows: int, *, id_: str = "") -> tuple[bytes, int]:
    """The body of a request over REST with pixels behind its JSON, all outputs binary, and the length of the JSON."""
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [rows, len(pixels) // rows]}
    tensor |= {"parameters": {"binary_data_size": len(pixels)}}
    head = {"inputs": [tensor], "parameters": {"binary_data_output": True}} | ({"id": id_} if id_ else {})
    text = json.dumps(head).encode()
    return text + pixels, len(text)


def detail(answer: dict, kind: type[Message]) -> Message:
    """The detail of that kind in an error's JSON."""
    [value] = [each["value"] for each in answer["details"] if each["type"] == kind.DESCRIPTOR.full_name]
    return kind.FromString(base64.b64decode(value + "=="))
