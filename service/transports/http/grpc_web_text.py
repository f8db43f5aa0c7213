"""`application/grpc-web-text`: the frames of gRPC-Web in Base64, for browsers that read answers as text."""

import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from engine.errors import InvalidInput

TEXT_TYPES = ("application/grpc-web-text", "application/grpc-web-text+proto")
BINARY_TYPE = "application/grpc-web+proto"

_TYPE = (b"content-type", b"application/grpc-web-text+proto")


def in_text(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> tuple[Any, Any]:
    """`receive` and `send` of a request in Base64, for an application that reads and writes bytes."""
    pending = b""
    rest = b""

    async def receive_bytes() -> Any:
        nonlocal pending
        event = await receive()
        if event["type"] != "http.request":
            return event
        text = pending + event.get("body", b"")
        whole = len(text) - (len(text) % 4 if event.get("more_body", False) else 0)
        pending = text[whole:]
        try:
            return {**event, "body": binascii.a2b_base64(text[:whole], strict_mode=True)}
        except binascii.Error:
            raise InvalidInput("message", "is no valid Base64, expected frames of gRPC-Web in Base64") from None

    async def send_text(event: Any) -> None:
        nonlocal rest
        if event["type"] == "http.response.start":
            headers = [each for each in event["headers"] if each[0] not in (b"content-type", b"content-length")]
            event = {**event, "headers": [_TYPE, *headers]}
        elif event["type"] == "http.response.body":
            data = rest + event.get("body", b"")
            whole = len(data) - (len(data) % 3 if event.get("more_body", False) else 0)
            rest = data[whole:]
            event = {**event, "body": binascii.b2a_base64(data[:whole], newline=False)}
        await send(event)

    return receive_bytes, send_text
