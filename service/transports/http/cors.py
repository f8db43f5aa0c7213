"""Cross-origin requests of browsers (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol), for named origins."""

from collections.abc import Collection
from typing import Any

# Seconds for which a browser remembers a preflight.
MAX_AGE_SECONDS = 7200

_SENT = (
    "accept-encoding, authorization, connect-protocol-version, connect-timeout-ms, content-encoding, content-type, "
    "grpc-timeout, inference-header-content-length, traceparent, tracestate, x-grpc-web, x-request-id, x-user-agent"
)
_SHOWN = (
    "grpc-message, grpc-status, grpc-status-details-bin, inference-header-content-length, retry-after, traceparent, "
    "tracestate, www-authenticate, x-request-id"
)
_VARY = (b"vary", b"origin")


class Cors:
    """An ASGI application, and what its answers to other origins need.

    It is no coroutine function: the fast path of REST answers within the call, see `AlreadyStarted`.
    """

    def __init__(self, application: Any, origins: Collection[str]) -> None:
        """Scripts from `origins`, such as `https://lessons.example`, may call `application`."""
        self._application = application
        self._origins = {origin.encode() for origin in origins}

    @classmethod
    def around(cls, application: Any, origins: Collection[str]) -> Any:
        """`application` itself if there are no origins."""
        return cls(application, origins) if origins else application

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Answer one request."""
        sent = dict(scope.get("headers", ()))
        origin = sent.get(b"origin")
        if origin not in self._origins:
            return self._application(scope, receive, send)
        allowed = [(b"access-control-allow-origin", origin), _VARY]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in sent:
            return _preflight(send, allowed)
        allowed.append((b"access-control-expose-headers", _SHOWN.encode()))

        def send_allowed(event: Any) -> Any:
            if event["type"] == "http.response.start":
                event = {**event, "headers": [*event.get("headers", ()), *allowed]}
            return send(event)

        return self._application(scope, receive, send_allowed)


async def _preflight(send: Any, allowed: list[tuple[bytes, bytes]]) -> None:
    headers = [
        *allowed,
        (b"access-control-allow-methods", b"GET, HEAD, POST"),
        (b"access-control-allow-headers", _SENT.encode()),
        (b"access-control-max-age", b"%d" % MAX_AGE_SECONDS),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
