"""The start and the end of a process: an error for a failed start, and shutdown signals as futures."""

import asyncio
import signal
from typing import Any


class StartError(Exception):
    """The server cannot start; the message says why in one sentence."""


class Signals:
    """SIGTERM and SIGINT as futures: the first requests shutdown, the second an immediate one."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[None] = loop.create_future()
        self.second: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received)

    def _received(self) -> None:
        waiting = self.second if self.first.done() else self.first
        if not waiting.done():
            waiting.set_result(None)


async def first_of(*futures: asyncio.Future[Any]) -> None:
    """Wait until one of the futures is done, with a result or an error."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
