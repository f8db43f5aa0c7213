"""The connections of the asyncio client on each event loop: a channel works only on the loop that opened it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import grpc.aio

from digits_client.answers.models import Listing
from digits_client.coalescing import Coalescer
from digits_client.connection.channel import OPTIONS, RPCS, Deadline, Rpc
from digits_client.connection.endpoint import Endpoint
from digits_client.connection.forks import check_process
from digits_client.errors import ClientClosed, ServerError, from_rpc


class LoopState:
    """The state of the running loop; only that loop may use it."""

    def __init__(self, endpoint: Endpoint, channels: int, coalescer: Coalescer | None) -> None:
        """`channels` is the number of connections."""
        self.coalescer = coalescer
        self.listing_task: asyncio.Task[Listing] | None = None
        """The ListModels call in flight."""
        self._channels = [endpoint.open(grpc.aio, OPTIONS) for _ in range(channels)]
        self._methods = {rpc: [rpc.on(channel) for channel in self._channels] for rpc in RPCS}
        self._turn = 0

    def channel(self) -> Any:
        """The next channel."""
        return self._channels[self._next()]

    def method(self, rpc: Rpc) -> Any:
        """The method on the next channel."""
        return self._methods[rpc][self._next()]

    def _next(self) -> int:
        self._turn = (self._turn + 1) % len(self._channels)
        return self._turn

    async def close(self) -> None:
        """Close all channels. Calls in flight are cancelled."""
        for channel in self._channels:
            await channel.close()


class Loops:
    """One `LoopState` for each event loop that uses the client."""

    def __init__(self, make: Callable[[], LoopState], place: str) -> None:
        """`place` names the server in error sentences."""
        self._make = make
        self._place = place
        self._lock = threading.Lock()  # the loops may run in several threads
        self._states: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.closed = False

    def current(self) -> LoopState:
        """The state of the running loop, created at first use. Raises `ClientClosed`."""
        check_process("grpc.aio")
        loop = asyncio.get_running_loop()
        state = None if self.closed else self._states.get(loop)
        if state is not None:
            return state
        with self._lock:
            if self.closed:
                raise ClientClosed
            # A closed loop can no longer close its channels; they close when they are collected.
            self._states = {each: state for each, state in self._states.items() if not each.is_closed()}
            return self._states.setdefault(loop, self._make())

    @contextmanager
    def calling(self, deadline: Deadline) -> Iterator[None]:
        """Around a call with this deadline: translates the errors of gRPC into a `DigitsError`."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.closed and not (task is not None and task.cancelling()):
                raise ClientClosed from None  # a closed channel cancels its calls
            raise
        except grpc.RpcError as cause:
            raise from_rpc(cause, self._place, deadline.seconds) from cause
        except grpc.aio.BaseError as cause:
            if self.closed:
                raise ClientClosed from cause
            raise ServerError(f"no call to {self._place}: {cause}") from cause

    async def close(self) -> None:
        """Close the connections of this loop, and let the other running loops close theirs."""
        here = asyncio.get_running_loop()
        with self._lock:
            self.closed = True
            states, self._states = self._states, {}
        own = states.pop(here, None)
        for loop, state in states.items():
            with suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(self._schedule_close, state)
        if own is not None:
            await own.close()

    def _schedule_close(self, state: LoopState) -> None:
        task = asyncio.get_running_loop().create_task(state.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
