"""How much a transport takes on at once: bytes of requests, and calls that are public or endless."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from engine.errors import LimitReached, QueueFull
from service.api.method import Kind, Method

# Reserved calls of each kind, as one part in so many of all calls at once.
RESERVED_SHARE = 10
_NO_PLACE = nullcontext()


class Admission:
    """The limits of one transport, and whether it drains. Belongs to one event loop."""

    def __init__(self, max_bytes: int, max_calls: int) -> None:
        """Limit requests that arrive, wait or run to `max_bytes` together, calls at once to `max_calls`."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self.max_calls = max_calls
        """Calls at once, reserved ones aside; for the transport to hold."""
        self.calls = 0
        """Calls now, where `call` counts them."""
        self.reserved_calls = max(1, max_calls // RESERVED_SHARE)
        """Calls at once of reserved methods, unary ones and streams each."""
        self.reserved = 0
        """Reserved calls now, of both kinds."""
        self._reserved = dict.fromkeys(Kind, 0)
        self.draining = asyncio.Event()
        self.goaway_sent = asyncio.Event()
        """Set once clients have been told to send no more calls over their connections."""

    def admit(self, size: int, own: int = 0) -> None:
        """Count `size` more bytes, of a request that has `own` bytes admitted already, until `release`.

        Raises `QueueFull` when they are too many; they are counted even so. A request that is alone always fits.
        """
        self._bytes += size
        if self._bytes > self._max_bytes and self._bytes > own + size:
            raise QueueFull(
                f"requests of {self._bytes - own - size} bytes are being answered, "
                f"there is no room for {own + size} more",
                retry_after=0.1,
            )

    def release(self, size: int) -> None:
        """Count `size` bytes no more."""
        self._bytes -= size

    @contextmanager
    def call(self) -> Iterator[bool]:
        """Count a call while it is in what this returns: whether there are more than there may be."""
        self.calls += 1
        try:
            yield self.calls - self.reserved > self.max_calls
        finally:
            self.calls -= 1

    def place(self, method: Method) -> AbstractContextManager[None]:
        """The place that a reserved call holds from its headers to its end. Raises `LimitReached`."""
        return self._reserved_place(method) if method.reserved else _NO_PLACE

    @contextmanager
    def _reserved_place(self, method: Method) -> Iterator[None]:
        if self._reserved[method.kind] >= self.reserved_calls:
            raise LimitReached(f"{self.reserved_calls} such calls are open, the most there may be at once")
        self._reserved[method.kind] += 1
        self.reserved += 1
        try:
            yield
        finally:
            self._reserved[method.kind] -= 1
            self.reserved -= 1

    async def wait_until_rejections_allowed(self) -> None:
        """While draining, wait until clients have been told to send no more.

        A client that is refused before comes back at once over the same connection, without end.
        """
        if self.draining.is_set():
            await self.goaway_sent.wait()

    async def until_draining(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`items` until they end or draining begins, whichever comes first."""
        stop = asyncio.ensure_future(self.draining.wait())
        item = None
        try:
            while True:
                item = asyncio.ensure_future(anext(items, None))
                await asyncio.wait((item, stop), return_when=asyncio.FIRST_COMPLETED)
                if not item.done():
                    return
                if (data := item.result()) is None:
                    return
                yield data
        finally:
            stop.cancel()
            if item is not None:
                item.cancel()
