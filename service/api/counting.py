"""Each call of a version is counted, however it ends."""

import asyncio
import time
from types import TracebackType

from service.runtime.errors import ServiceError
from service.runtime.statistics import Statistics


class Counted:
    """Around the work of one call: counts it and its time in `statistics`, as a success or by its error."""

    __slots__ = ("_began", "_statistics")

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._began = 0

    def __enter__(self) -> None:
        self._began = time.perf_counter_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ns = time.perf_counter_ns() - self._began
        if kind is None:
            self._statistics.success.add(ns)
        else:
            self._statistics.failed(_reason(kind), ns)


def _reason(kind: type[BaseException]) -> str:
    if issubclass(kind, ServiceError):
        return kind.__name__
    return "Cancelled" if issubclass(kind, asyncio.CancelledError) else "Internal"
