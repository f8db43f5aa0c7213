"""What the asyncio client has on each event loop, for a channel works on the loop that opened it alone."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import grpc.aio

from digits_client.coalescing import Coalescer
from digits_client.connection.channel import OPTIONS, RPCS, Deadline, Rpc
from digits_client.connection.endpoint import Endpoint
from digits_client.connection.forks import check_process
from digits_client.errors import ClientClosed, ServerError, from_rpc
from digits_client.models import Listing


class LoopState:
    """Of the loop that runs when it is made; all its methods are for that loop alone."""

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
        """Calls in flight are cancelled."""
        for channel in self._channels:
            await channel.close()


class Loops:
    """One `LoopState` for each loop that the client was used on."""

    def __init__(self, make: Callable[[], LoopState], place: str) -> None:
        """`place` is what sentences call the server."""
        self._make = make
        self._place = place
        self._lock = threading.Lock()  # loops of several threads
        self._kept: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.closed = False

    def current(self) -> LoopState:
        """That of the running loop, made when it is new. Raises `ClientClosed`."""
        check_process("grpc.aio")
        loop = asyncio.get_running_loop()
        kept = None if self.closed else self._kept.get(loop)
        if kept is not None:
            return kept
        with self._lock:
            if self.closed:
                raise ClientClosed
            # Forgotten channels close themselves. A loop that ended can no longer close its own.
            self._kept = {each: its for each, its in self._kept.items() if not each.is_closed()}
            return self._kept.setdefault(loop, self._make())

    @contextmanager
    def calling(self, deadline: Deadline) -> Iterator[None]:
        """Around a call that has this deadline. Raises a `DigitsError` where gRPC raises an error of its own."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.closed and not (task is not None and task.cancelling()):
                raise ClientClosed from None  # a channel that is closed cancels its calls
            raise
        except grpc.RpcError as cause:
            raise from_rpc(cause, self._place, deadline.seconds) from cause
        except grpc.aio.BaseError as cause:
            if self.closed:
                raise ClientClosed from cause
            raise ServerError(f"no call to {self._place}: {cause}") from cause

    async def close(self) -> None:
        """Close what is on this loop, and let the others that run close theirs."""
        here = asyncio.get_running_loop()
        with self._lock:
            self.closed = True
            kept, self._kept = self._kept, {}
        own = kept.pop(here, None)
        for loop, its in kept.items():
            with suppress(RuntimeError):  # it has ended, and its channels with it
                loop.call_soon_threadsafe(self._close_there, its)
        if own is not None:
            await own.close()

    def _close_there(self, its: LoopState) -> None:
        task = asyncio.get_running_loop().create_task(its.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
