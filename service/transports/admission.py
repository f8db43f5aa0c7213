"""The calls of a front, all together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from engine.errors import LimitReached, ServiceError
from service.api.method import Kind, Method
from service.transports.limits import Pending

# For so many calls at once there may be one more of those that are apart.
RESERVED_SHARE = 10
_ANYWHERE = nullcontext()

T = TypeVar("T")


class Admission(Pending):
    """Keeps their bytes within a limit, and says when they shall end."""

    def __init__(self, max_bytes: int, max_calls: int) -> None:
        super().__init__(max_bytes)
        self.reserved_calls = max(1, max_calls // RESERVED_SHARE)
        """Calls at once of methods that are apart, unary ones and streams each."""
        self.reserved = 0
        """Such calls now, both kinds."""
        self._reserved = dict.fromkeys(Kind, 0)
        self.entered = 0
        """Calls handed over to a handler since the start."""
        self.draining = asyncio.Event()
        self.goaway_sent = asyncio.Event()
        """Set once clients have been told to send no more over their connections."""

    def place(self, method: Method) -> AbstractContextManager[None]:
        """Where a call stays from its headers to its end. Raises `LimitReached` when there is none."""
        return self._place_reserved(method) if method.reserved else _ANYWHERE

    @contextmanager
    def _place_reserved(self, method: Method) -> Iterator[None]:
        if self._reserved[method.kind] >= self.reserved_calls:
            error = LimitReached(f"{self.reserved_calls} such calls are open, the most there may be at once")
            method.refused(error)
            raise error
        self._reserved[method.kind] += 1
        self.reserved += 1
        try:
            yield
        finally:
            self._reserved[method.kind] -= 1
            self.reserved -= 1

    async def wait_until_rejections_allowed(self) -> None:
        """Wait, when draining, for the moment from which a call may be refused."""
        if self.draining.is_set():
            await self.goaway_sent.wait()

    async def until_draining(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`items` until they end or calls shall, whichever comes first."""
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


def rejecting(method: Method, step: Callable[..., T], *args: Any) -> T:
    """What `step(*args)` gives before the handler is entered; the call is counted if that is its end."""
    try:
        return step(*args)
    except ServiceError as error:
        method.refused(error)
        raise
