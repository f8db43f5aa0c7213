"""What every process of a server has: a start that may fail, and an end that it is told of."""

import asyncio
import signal
from typing import Any


class StartError(Exception):
    """The server cannot start; the message says why in one sentence."""


class Signals:
    """SIGTERM and SIGINT as futures: the first asks for an end, the second for one at once."""

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
    """Wait until one of them is done, whatever came of it."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
