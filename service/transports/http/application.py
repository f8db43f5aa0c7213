"""The HTTP port as one ASGI application: the page, metrics, probes, REST, and unary RPCs as JSON and gRPC-Web.

It is independent of the server that runs it, and needs no lifespan.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from engine.errors import WORD, NotAuthenticated, RateExceeded, quoted
from service.api.admission import Admission
from service.api.digits.service import SERVICE
from service.api.errors import cut
from service.api.health import HealthApi
from service.api.method import Kind, LocalContext, Methods
from service.api.middleware.auth import Guard
from service.api.open_inference.rest.codec import RestApi
from service.config import Settings
from service.telemetry.exposition import render
from service.telemetry.logs import log
from service.telemetry.metrics import Snapshot
from service.transports.http.connect import Connect, Receive, Scope, Send
from service.transports.http.page import web_files
from service.transports.http.rest.application import Rest

TEXT = "text/plain; charset=utf-8"
# Content types of JSON: also none, and the form type that `curl -d` sends.
_JSON_TYPES = ("application/json", "application/x-www-form-urlencoded", "")
_TYPES = (
    "application/proto",
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web+json",
)

# Headers that connectrpc repeats in errors at any length; a long value is invalid anyway.
_REPEATED = (b"content-encoding", b"connect-protocol-version", b"connect-timeout-ms", b"grpc-encoding", b"grpc-timeout")

# Status, content type, body, further headers.
Page = tuple[int, str, bytes, dict[str, str]]


class HttpApp:
    """The application of the HTTP port."""

    def __init__(
        self,
        methods: Methods,
        rest: RestApi,
        health: HealthApi,
        settings: Settings,
        snapshot: Callable[[], Awaitable[Snapshot]],
        guard: Guard | None = None,
    ) -> None:
        """Serve the unary methods of digits.v1 among `methods`, and `rest`, within limits that count no calls of gRPC.

        `health` says whether the server is ready, `snapshot` gives the metrics of all processes, and `guard` decides
        on access to pages like /metrics, by default for all.
        """
        self._files = web_files()
        self._guard = guard or Guard()
        self._health = health
        self._snapshot = snapshot
        self._pages = {"/metrics": self._metrics, "/healthz": self._live, "/readyz": self._ready}
        self._methods = {
            path: method
            for path, method in methods.items()
            if method.kind is Kind.UNARY and path.startswith(f"/{SERVICE}/")
        }
        admission = Admission(settings.max_pending_mb * 2**20, settings.max_concurrent_calls)
        self._connect = Connect(self._methods, admission, settings.max_message_bytes)
        self.rest = Rest(rest, admission, settings.max_message_bytes)
        """Answers what is below /v2."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        if scope["type"] != "http":
            return
        started = False

        async def tell(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            page = await self._route(scope, receive, tell)
        except Exception as error:
            log.error("http request failed", path=scope["path"], exc_info=error)
            page = None if started else _problem(500, "internal", "internal error")
        if page is not None:
            await _send(page, send, head=scope["method"] == "HEAD")

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> Page | None:
        """The page to send; None if the answer was sent already."""
        path, verb = scope["path"], scope["method"]
        if sum(key == b"authorization" for key, _ in scope["headers"]) > 1:
            return _problem(400, "invalid_argument", "authorization: expected one such header at most")
        if path == "/v2" or path.startswith("/v2/"):
            await self.rest(scope, receive, send)
            return None
        if path in self._files or path in self._pages:
            if verb not in ("GET", "HEAD"):
                return _wrong_verb(path, "GET, HEAD", verb)
            if path in self._files:
                return self._files[path].answer(_header(scope, b"if-none-match"))
            return self._refusal(path, scope) or await self._pages[path](scope)
        if path not in self._methods:
            return self._nothing(path)
        if verb != "POST":
            return _wrong_verb(path, "POST", verb)
        media = _header(scope, b"content-type").partition(";")[0].strip().lower()
        if media in _JSON_TYPES:
            media = "application/json"
        elif media not in _TYPES:
            return _wrong_type(media)
        headers = [
            (b"content-type", media.encode()),
            *(
                (name, value[:WORD] if name in _REPEATED else value)
                for name, value in scope["headers"]
                if name != b"content-type"
            ),
        ]
        try:
            b"".join(value for _, value in headers).decode()
        except UnicodeDecodeError:
            return _problem(400, "invalid_argument", "a header is not UTF-8")
        await self._connect({**scope, "headers": headers}, receive, send)
        return None

    def _nothing(self, path: str) -> Page:
        there = ", ".join(("/", *self._pages, "/v2", *self._methods))
        return _problem(404, "unimplemented", f"there is nothing at {quoted(path)}; there is {there}")

    async def _metrics(self, scope: Scope) -> Page:
        snapshot = await self._snapshot()
        accept = _header(scope, b"accept")
        text, content_type = await asyncio.to_thread(render, snapshot, accept)
        return 200, content_type, text, {}

    def _refusal(self, path: str, scope: Scope) -> Page | None:
        """The error for a client without access to a page; None with access."""
        client = scope.get("client")
        context = LocalContext(
            {"authorization": _header(scope, b"authorization")}, peer=f"{client[0]}:{client[1]}" if client else ""
        )
        try:
            self._guard.admit(path, context)
        except NotAuthenticated as error:
            return _problem(401, "unauthenticated", str(error), {"www-authenticate": "Bearer"})
        except RateExceeded as error:
            return _problem(429, "resource_exhausted", str(error), {"retry-after": str(math.ceil(error.retry_after))})
        return None

    async def _live(self, scope: Scope) -> Page:
        """Liveness: a process that hangs does not answer."""
        return 200, TEXT, b"live\n", {}

    async def _ready(self, scope: Scope) -> Page:
        trouble = self._health.trouble()
        return 503 if trouble else 200, TEXT, f"{trouble or 'ready'}\n".encode(), {}


def _header(scope: Scope, name: bytes) -> str:
    """The value of a request header; empty without one."""
    return b", ".join(value for key, value in scope["headers"] if key == name).decode(errors="replace")


def _problem(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Page:
    """An error in the format of the Connect protocol."""
    body = json.dumps({"code": code, "message": cut(message)}, ensure_ascii=False).encode()
    return status, "application/json", body, headers or {}


def _wrong_verb(path: str, wanted: str, verb: str) -> Page:
    return _problem(405, "unimplemented", f"{path} takes {wanted}, not {quoted(verb)}", {"allow": wanted})


def _wrong_type(media: str) -> Page:
    hint = ""
    if media.startswith("application/grpc-web-text"):
        hint = "; gRPC-Web is taken in binary"
    elif media.startswith("application/grpc"):
        hint = "; native gRPC has a port of its own, see --port"
    wanted = ", ".join((_JSON_TYPES[0], *_TYPES))
    text = f"content-type is {quoted(media)}, expected one of {wanted}{hint}"
    return _problem(415, "invalid_argument", text, {"accept-post": wanted})


async def _send(page: Page, send: Send, *, head: bool) -> None:
    status, content_type, body, more = page
    headers = {"content-type": content_type, "content-length": str(len(body)), "cache-control": "no-store", **more}
    if status == 304:  # without a body; the header would describe the one that the client has
        del headers["content-length"]
    lines = [(key.encode(), value.encode()) for key, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Confirm startup and shutdown: there is nothing to do for either."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
