"""Ends calls whose client goes away or gives up."""

import asyncio
import time
from functools import partial

from engine.errors import DeadlinePassed
from service.transports import limits
from service.transports.grpc_asgi.call import AsgiCall, Event

# Seconds until a call is first checked, and between two checks of all calls.
SWEEP_SECONDS = 0.1
# A call is asked whether its client has gone in intervals that double up to this many seconds.
MAX_LOOK_SECONDS = 2.0

EXPIRED = DeadlinePassed("the deadline passed before the call was answered")


class CallReaper:
    """Cancels calls whose client has gone, whose deadline has passed, or whose request does not come.

    Belongs to one event loop. It needs not be exact: the batcher drops queued rows in time, and a client keeps its
    deadline by itself. ASGI servers report a client that has gone by `receive`. Some servers wait there until it
    happens; others return at once, so that they must be asked again.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.calls: set[AsgiCall] = set()
        """The calls in flight."""
        self._sweeping = False

    def add(self, call: AsgiCall) -> None:
        """Watch a call until it is discarded."""
        self.calls.add(call)
        call.look_at = self._loop.time() + SWEEP_SECONDS
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def discard(self, call: AsgiCall) -> None:
        """Watch a call no more."""
        self.calls.discard(call)
        if call.ahead is not None:
            call.ahead.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        clock = time.monotonic()
        late = time.perf_counter() - limits.ARRIVAL_SECONDS
        for call in self.calls:
            if call.deadline is not None and call.deadline <= clock:
                _expire(call, EXPIRED)
            elif call.more and call.came <= late and not call.streams:
                _expire(call, limits.not_arrived())
            elif call.look_at <= now:
                call.look_at = now + call.look_seconds
                call.look_seconds = min(2 * call.look_seconds, MAX_LOOK_SECONDS)
                self._look(call)
        self._sweeping = bool(self.calls)
        if self._sweeping:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _look(self, call: AsgiCall) -> None:
        """Receive ahead of a call that is not receiving itself; the call finds the event when it receives."""
        if call.reading or (call.ahead is not None and (call.more or not call.ahead.done())):
            return
        call.ahead = asyncio.ensure_future(call.receive())
        call.ahead.add_done_callback(partial(self._received, call))

    def _received(self, call: AsgiCall, ahead: asyncio.Future[Event]) -> None:
        if ahead.cancelled():
            return
        gone = ahead.exception() is not None or ahead.result()["type"] == "http.disconnect"
        if gone and call in self.calls:
            call.left = True
            _cancel(call)


def _expire(call: AsgiCall, error: DeadlinePassed) -> None:
    if call.expired is None:
        call.expired = error
        _cancel(call)


def _cancel(call: AsgiCall) -> None:
    if call.task is not None:
        call.task.cancel()
