"""How much a front takes in at once, all its calls together."""

import asyncio
from collections.abc import AsyncIterator

from service.runtime.errors import QueueFull


class Admission:
    """Counts the bytes of the requests that wait or run, and says when calls shall end."""

    def __init__(self, max_bytes: int) -> None:
        """Refuse requests that together hold more than `max_bytes`; a single one may be larger."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self.entered = 0
        """Calls handed over to a handler since the start."""
        self.draining = asyncio.Event()

    def admit(self, size: int) -> None:
        """Count `size` bytes until they are released; raises `QueueFull` when there is no room for them."""
        self._bytes += size
        if self._bytes > self._max_bytes and self._bytes > size:
            raise QueueFull(
                f"requests of {self._bytes - size} bytes are being answered, there is no room for {size} more",
                retry_after=0.1,
            )

    async def until_draining(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`items` until they end or calls shall, whichever comes first."""
        stop = asyncio.ensure_future(self.draining.wait())
        try:
            while True:
                item = asyncio.ensure_future(anext(items, None))
                await asyncio.wait((item, stop), return_when=asyncio.FIRST_COMPLETED)
                if not item.done():
                    item.cancel()
                    return
                if (data := item.result()) is None:
                    return
                yield data
        finally:
            stop.cancel()

    def release(self, size: int) -> None:
        """They were answered."""
        self._bytes -= size
