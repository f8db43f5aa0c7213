"""Requests over REST as an ASGI server hands them over, to the application and to its form in callbacks under pyvoy."""

import asyncio
import json
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from service.app import App
from service.config import Settings
from service.transports.already_started import STARTED, AlreadyStarted
from service.transports.http.application import HttpApp
from service.transports.http.rest.fast_path import RestFastPath

MODEL = "mnist-16x16"
INFER = f"/v2/models/{MODEL}/infer"
Answer = tuple[int, dict[str, str], bytes]


class Door:
    """The HTTP side of an app, asked both ways."""

    def __init__(self, app: App, settings: Settings | None = None) -> None:
        self.app = app
        self.slow = HttpApp(app.methods, app.rest, app.health, settings or Settings(), app.metrics, app.guard)
        self.fast = RestFastPath(self.slow, self.slow.rest)

    async def ask(
        self, path: str = INFER, body: bytes | Iterable[bytes] = b"", verb: str = "", **headers: Any
    ) -> Answer:
        """The answer, which is the same both ways but for times. `_` in a header's name is `-`."""
        pieces = [body] if isinstance(body, bytes) else list(body)
        answers = []
        for application in (self.slow, self.fast, self.fast):  # the second time from what the first has remembered
            exchange = Exchange(path, pieces, verb or ("POST" if any(pieces) else "GET"), **headers)
            answers.append(await exchange.through(application))
        assert timeless(answers[0]) == timeless(answers[1]) == timeless(answers[2])
        return answers[-1]

    async def slow_ask(self, path: str, body: bytes = b"", verb: str = "", **headers: Any) -> Answer:
        """The answer, asked once."""
        return await Exchange(path, [body], verb or ("POST" if body else "GET"), **headers).through(self.slow)

    async def infer(
        self, value: Any, *tensors: bytes, path: str = INFER, **headers: Any
    ) -> tuple[int, Any, dict[str, Any]]:
        """Status, JSON, and the outputs by name, as arrays where they are binary."""
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        if tensors:
            headers.setdefault("inference_header_content_length", len(text))
        status, told, body = await self.ask(path, text + b"".join(tensors), **headers)
        size = int(told.get("inference-header-content-length", len(body)))
        found, outputs = json.loads(body[:size]), {}
        for output in found.get("outputs", ()):
            count = output.get("parameters", {}).get("binary_data_size")
            if count is None:
                outputs[output["name"]] = output.get("data")
                continue
            dtype = {"INT64": np.int64, "FP32": np.float32, "BYTES": np.uint8}[output["datatype"]]
            outputs[output["name"]] = np.frombuffer(body[size : size + count], dtype)
            size += count
        return status, found, outputs


def timeless(answer: Answer) -> Any:
    """An answer without its times, with JSON as values: parameters of equal answers may come in any order."""
    status, headers, body = answer
    if encoding := headers.get("content-encoding"):
        body = zlib.decompress(body, zlib.MAX_WBITS | 16 if encoding == "gzip" else zlib.MAX_WBITS)
    size = int(headers.get("inference-header-content-length", len(body)))
    found = json.loads(body[:size]) if body else None
    if isinstance(found, dict) and "queue_us" in found.get("parameters", {}):
        del found["parameters"]["queue_us"], found["parameters"]["inference_us"]
    kept = {
        name: text
        for name, text in headers.items()
        if name not in ("inference-header-content-length", "content-length")
    }
    return status, kept, found, body[size:]


class Exchange:
    """One request as a server hands it over, and what comes back."""

    def __init__(self, path: str, pieces: list[bytes], verb: str, **headers: Any) -> None:
        self._messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        if self._messages:
            self._messages[-1]["more_body"] = False
        self.gone = asyncio.Event()
        self.ended = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.scope = {
            "type": "http",
            "method": verb,
            "path": path,
            "raw_path": path.encode(),
            "client": ("10.0.0.9", 1234),
            "headers": [(key.replace("_", "-").encode(), str(text).encode()) for key, text in headers.items()],
        }

    def receive(self) -> asyncio.Future[dict[str, Any]]:
        """A future, as pyvoy gives one."""
        return asyncio.ensure_future(self._receive())

    async def _receive(self) -> dict[str, Any]:
        if self._messages:
            return self._messages.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def send(self, message: dict[str, Any]) -> asyncio.Future[None]:
        """It is sent at once, awaited or not."""
        self.sent.append(message)
        if message["type"] == "http.response.body":
            self.ended.set()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def begin(self, application: Any) -> asyncio.Task[Any] | AlreadyStarted:
        """Hand it over."""
        work = application(self.scope, self.receive, self.send)
        return work if work is STARTED else asyncio.ensure_future(work)

    async def through(self, application: Any) -> Answer:
        """Status, headers and body of the answer."""
        self.begin(application)
        await asyncio.wait_for(self.ended.wait(), 20)
        start, body = self.sent
        return start["status"], {key.decode(): value.decode() for key, value in start["headers"]}, body["body"]
