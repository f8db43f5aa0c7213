"""The calls of a front, all together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from service.api.methods import Method
from service.fronts.pending import Pending
from service.runtime.errors import ServiceError

T = TypeVar("T")


class Admission(Pending):
    """Keeps their bytes within a limit, and says when they shall end."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.entered = 0
        """Calls handed over to a handler since the start."""
        self.draining = asyncio.Event()
        self.leaving = asyncio.Event()
        """Set once clients have been told to send no more over their connections."""

    async def refusable(self) -> None:
        """Wait, when draining, for the moment from which a call may be refused."""
        if self.draining.is_set():
            await self.leaving.wait()

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


def or_refuse(method: Method, step: Callable[..., T], *args: Any) -> T:
    """What `step(*args)` gives before the handler is entered; the call is counted if that is its end."""
    try:
        return step(*args)
    except ServiceError as error:
        method.refused(error)
        raise
