"""Connections to the HTTP port of the grpcio transport: uvicorn's, limited in number and in time."""

import asyncio
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.telemetry.logs import log
from service.transports import limits as pending

# Seconds between two log lines on refused connections, at least.
TELL_SECONDS = 10.0

# Pieces of a body that may be small, and the bytes that the others have at least on average.
SMALL_PIECES = 1000
SMALL_BYTES = 64

_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class ConnectionLimit:
    """A limit on concurrent connections."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tell_at = 0.0

    def admits(self, count: int) -> bool:
        """Whether `count` connections are within the limit; if not, a warning is logged now and then."""
        if count <= self._most:
            return True
        if (now := time.monotonic()) >= self._tell_at:
            self._tell_at = now + TELL_SECONDS
            log.warning("connection refused, there are as many as are allowed", max_connections=self._most)
        return False


class PieceLimit(h11.Connection):
    """Refuses bodies in many small pieces (`Transfer-Encoding: chunked`).

    Reading a piece costs as much whatever its size is: 200,000 of one byte held up all other calls for seconds.
    """

    refusal = ""
    """Why the request was refused."""
    _pieces = _bytes = 0  # of the request that is arriving

    def next_event(self) -> Any:
        """See `h11.Connection`."""
        event = super().next_event()
        if type(event) is h11.Request:
            self._pieces = self._bytes = 0
        elif type(event) is h11.Data:
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > SMALL_PIECES + self._bytes // SMALL_BYTES:
                self.refusal = (
                    f"the body comes in pieces of fewer than {SMALL_BYTES} bytes, more than {SMALL_PIECES} of them"
                )
                raise h11.RemoteProtocolError(self.refusal)
        return event


class HttpConnection(H11Protocol):
    """Closed when there are too many, when a request does not arrive in time, and when it is idle.

    A request begins with its first byte. Before that a connection may be idle for `Config.timeout_keep_alive`, as
    after an answer.
    """

    def __init__(self, limit: ConnectionLimit, **given: Any) -> None:
        super().__init__(**given)
        self.conn: PieceLimit = PieceLimit(h11.SERVER, self.conn._max_incomplete_event_size)
        self._limit = limit
        self._coming: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if self._limit.admits(len(self.connections)):
            self._set_clocks()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_clocks()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        self._set_clocks()

    def send_400_response(self, msg: str) -> None:
        """Tell why a request is refused, unless it is being answered already."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(self.conn.refusal or msg)
        else:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Time the next request, or the rest of this one."""
        super().on_response_complete()
        self._set_clocks()

    def _set_clocks(self) -> None:
        """Time what the client has to send next: nothing, the rest of a request, or a new request."""
        if self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
            self._stop_clocks()
        elif self.conn.trailing_data[0] or self.conn.their_state is h11.SEND_BODY:
            self._unset_keepalive_if_required()
            self._coming = self._coming or self.loop.call_later(pending.HEADERS_SECONDS, self._late)
        elif self.timeout_keep_alive_task is None or self._coming is not None:
            self._stop_clocks()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _stop_clocks(self) -> None:
        self._unset_keepalive_if_required()
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None

    def _late(self) -> None:
        if self.conn.trailing_data[0]:  # late headers: a late body gets no answer
            self.transport.write(_LATE)
        self.transport.close()
