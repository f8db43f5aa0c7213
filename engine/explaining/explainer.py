"""Explanations in a thread of their own, so that they delay no run."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from engine.errors import DeadlinePassed, QueueFull
from engine.explaining.network import Network, read_networks
from engine.models.version import Version

T = TypeVar("T")

Stop = Callable[[], bool]

_MOST_WAITING = 16


class Explainer:
    """Explains one image after the other; a limited number waits."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self._waiting = 0
        self._cached: tuple[str, tuple[Network, ...]] = ("", ())

    async def run(self, work: Callable[[Stop], T], deadline: float | None) -> T:
        """What `work` returns. It is told when to stop: its caller is cancelled, or the deadline has passed.

        Raises `QueueFull`, `DeadlinePassed`, and what `work` raises.
        """
        if self._waiting >= _MOST_WAITING:
            raise QueueFull(f"{self._waiting} explanations are waiting, there is no room for more", retry_after=0.1)
        self._waiting += 1
        given_up = threading.Event()

        def stop() -> bool:
            return given_up.is_set() or (deadline is not None and time.monotonic() >= deadline)

        def attempt() -> T | Exception:
            # Errors are returned: asyncio would report a raised one as lost if its caller was cancelled.
            if stop():
                return DeadlinePassed("the deadline passed while other images were being explained")
            try:
                return work(stop)
            except Exception as error:
                return error

        future = asyncio.get_running_loop().run_in_executor(self._executor, attempt)
        try:
            result = await future
        finally:
            self._waiting -= 1
            given_up.set()
            future.cancel()
        if isinstance(result, Exception):
            raise result
        return result

    def networks(self, version: Version) -> tuple[Network, ...]:
        """The networks of a ready version; those of the last one are kept. Called by `work`. Raises `NotReady`."""
        sha256, networks = self._cached
        if sha256 != version.session.sha256:
            networks = read_networks(version.read_served(), version.session.card)
            self._cached = version.session.sha256, networks
        return networks

    def close(self) -> None:
        """Drop what waits and let the thread end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
