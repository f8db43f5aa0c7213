"""Waiting for space in a bounded queue."""

import asyncio
import time

from engine.errors import DeadlinePassed


class CapacityWaiter:
    """Callers that wait for space in a queue. Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    async def wait(self, deadline: float | None) -> None:
        """Wait until `wake` is called; `deadline` by `time.monotonic`. Raises `DeadlinePassed`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
                await waiter
        except TimeoutError:
            raise DeadlinePassed("the deadline passed while waiting for room in the queue") from None
        finally:
            self._waiters.discard(waiter)

    def wake(self) -> None:
        """Wake all waiting callers: the queue got shorter."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
