"""Calls of the HTTP side, as curl would make them."""

import base64
import json

from google.protobuf.message import Message

from tests.support.server import STEM, Server

CLASSIFY = STEM + "Classify"
METHOD = "digits.v1.DigitsService/Classify"
JSON = {"content_type": "application/json"}
MNIST = ("mnist-16x16", "2")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def ask(server: Server, message: dict, path: str = CLASSIFY, **headers: str) -> tuple[int, dict, dict]:
    """Status, headers and the JSON of the answer."""
    status, told, body = server.http(path, json.dumps(message).encode(), **(JSON | headers))
    return status, told, json.loads(body)


def detail(answer: dict, kind: type[Message]) -> Message:
    """The detail of that kind in an error's JSON."""
    [value] = [each["value"] for each in answer["details"] if each["type"] == kind.DESCRIPTOR.full_name]
    return kind.FromString(base64.b64decode(value + "=="))
