"""A connection to the HTTP port beside the grpcio front: uvicorn's, with bounds on how many and how slow."""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from service.fronts import pending
from service.observe.logs import log

# How often, at most, the log tells that connections are refused.
TELL_SECONDS = 10.0

_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class ConnectionLimit:
    """So many connections at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tell_at = 0.0

    def admits(self, count: int) -> bool:
        """Whether there may be `count`; if not, the log tells so now and then."""
        if count <= self._most:
            return True
        if (now := time.monotonic()) >= self._tell_at:
            self._tell_at = now + TELL_SECONDS
            log.warning("connection refused, there are as many as are allowed", max_connections=self._most)
        return False


class HttpConnection(H11Protocol):
    """Is closed when there are too many, and when the headers of a request do not come in time."""

    def __init__(self, limit: ConnectionLimit, **given: Any) -> None:
        super().__init__(**given)
        self._limit = limit
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if self._limit.admits(len(self.connections)):
            self._await_headers()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """The next request may come, and what is left of this one must."""
        super().on_response_complete()
        self._await_headers()

    def _await_headers(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = self.loop.call_later(pending.HEADERS_SECONDS, self._late)

    def _late(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            if self.conn.trailing_data[0]:  # of headers; who says nothing is told nothing
                self.transport.write(_LATE)
            self.transport.close()
