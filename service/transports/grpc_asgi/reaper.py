"""Calls whose client goes away, or gives up, while they are being answered."""

import asyncio
import time
from functools import partial

from engine.errors import DeadlinePassed
from service.transports import limits as pending
from service.transports.grpc_asgi.call import AsgiCall, Event

# Most calls are over before anyone needs to look. The others are looked at in ever longer intervals.
SWEEP_SECONDS = 0.1
LAST_SECONDS = 2.0


EXPIRED = DeadlinePassed("the deadline passed before the call was answered")


class CallReaper:
    """Cancels calls whose client has gone, whose deadline has passed, or whose request does not come.

    Belongs to one event loop.

    All are noticed within `SWEEP_SECONDS`: what is queued is dropped in time by the batcher, and a client
    keeps its deadline by itself. ASGI servers tell of a client
    that has gone by `receive`. Some wait there until it happens, others say at once that nothing
    has happened yet, so that it must be asked again.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.calls: set[AsgiCall] = set()
        """Those that are being answered."""
        self._sweeping = False

    def add(self, call: AsgiCall) -> None:
        """Look after a call until it is discarded."""
        self.calls.add(call)
        call.look_at = self._loop.time() + SWEEP_SECONDS
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def discard(self, call: AsgiCall) -> None:
        """It has ended."""
        self.calls.discard(call)
        if call.ahead is not None:
            call.ahead.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        clock = time.monotonic()
        late = time.perf_counter() - pending.ARRIVAL_SECONDS
        for call in self.calls:
            if call.deadline is not None and call.deadline <= clock:
                _expire(call, EXPIRED)
            elif call.more and call.came <= late and not call.streams:
                _expire(call, pending.not_arrived())
            elif call.look_at <= now:
                call.look_at = now + call.look_seconds
                call.look_seconds = min(2 * call.look_seconds, LAST_SECONDS)
                self._look(call)
        self._sweeping = bool(self.calls)
        if self._sweeping:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _look(self, call: AsgiCall) -> None:
        """Receive ahead of a call that is not receiving itself; what comes is there when it does."""
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
