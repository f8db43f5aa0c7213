"""A bare gRPC server on ASGI: the lower bound of the envoy front, like `benchmarks.servers.echo` for grpc.aio.

Under Envoy by the package pyvoy, `pyvoy benchmarks.servers.echo_asgi:app --port PORT`. The variable `ECHO_ANSWERS`
names a JSON file, `{"<request bytes>": "<answer in hexadecimal>"}`.
"""

import json
import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ANSWERS = {
    int(size) + 5: struct.pack(">BI", 0, len(answer) // 2) + bytes.fromhex(answer)
    for size, answer in json.loads(Path(os.environ["ECHO_ANSWERS"]).read_text()).items()
}
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/grpc")],
    "trailers": True,
}
TRAILERS = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")], "more_trailers": False}

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer every gRPC call with the recorded bytes for a request of its size."""
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return
    size, more = 0, True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    await send(START)
    await send({"type": "http.response.body", "body": ANSWERS[size], "more_body": False})
    await send(TRAILERS)
