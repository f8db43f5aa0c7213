"""One request of REST while it is answered, and its end when its client goes or does not send it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from service.api.open_inference.rest.codec import RestCall
from service.transports import limits

Scope = Any
Event = Any
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

# Seconds after which it is checked whether a client has gone, and between two checks.
LOOK_SECONDS = 0.2


@dataclass(slots=True, eq=False)
class HttpCall(RestCall):
    """A request in flight."""

    scope: Scope = None
    receive: Receive = None  # type: ignore[assignment]
    came: float = field(default_factory=time.perf_counter)
    reading: bool = True
    """Whether more of it is to come."""
    late: bool = False
    """Whether it was cancelled because it did not come whole in time."""
    gone: bool = False
    """Whether it was cancelled because its client has gone."""
    work: asyncio.Future[Any] | None = None
    """What to cancel to end it."""
    watcher: asyncio.Task[None] | None = None
    """Waits until its client goes, if it takes long."""

    def header(self, name: bytes) -> str:
        """The value of a request header; empty without one."""
        return b", ".join([value for key, value in self.scope["headers"] if key == name]).decode("latin-1")


class CallsInFlight:
    """Cancels calls whose client has gone, and those that do not come whole in time. Belongs to one event loop.

    ASGI servers report a client that has gone by `receive`. Some wait there until it happens; others return at once.
    """

    def __init__(self) -> None:
        self._calls: dict[HttpCall, None] = {}  # the oldest first
        self._sweeping = False

    def add(self, call: HttpCall) -> None:
        """Watch a call until it is discarded."""
        self._calls[call] = None
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._sweep)

    def discard(self, call: HttpCall) -> None:
        """Watch a call no more."""
        self._calls.pop(call, None)
        if call.watcher is not None:
            call.watcher.cancel()

    def _sweep(self) -> None:
        loop, now = asyncio.get_running_loop(), time.perf_counter()
        for call in self._calls:
            if now - call.came < LOOK_SECONDS:
                break
            if call.reading:
                call.late = call.late or now - call.came > limits.ARRIVAL_SECONDS
                if call.late:
                    _cancel(call)
            elif call.watcher is None:
                call.watcher = loop.create_task(_watch(call))
        self._sweeping = bool(self._calls)
        if self._sweeping:
            loop.call_later(LOOK_SECONDS, self._sweep)


async def _watch(call: HttpCall) -> None:
    while (await call.receive())["type"] == "http.request":  # noqa: ASYNC110 - it cannot be awaited everywhere
        await asyncio.sleep(LOOK_SECONDS)
    call.gone = True
    _cancel(call)


def _cancel(call: HttpCall) -> None:
    if call.work is not None:
        call.work.cancel()
