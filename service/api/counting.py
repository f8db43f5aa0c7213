"""Each call of a version is counted, however it ends."""

import asyncio
import time
from types import TracebackType
from typing import Any

from service.api.siblings import Totals
from service.runtime.errors import ServiceError
from service.runtime.repository import Repository
from service.runtime.statistics import Statistics
from service.runtime.version import State, Version


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


def snapshot(repository: Repository) -> dict[str, Any]:
    """What the ready versions have counted in this process: `counters` and `latest` as in `Totals`."""
    counters: dict[str, dict[str, Any]] = {}
    latest: dict[str, dict[str, int]] = {}
    for name, versions in repository.models.items():
        for version in versions:
            if version.state is State.READY:
                counters.setdefault(name, {})[_key(version)] = version.statistics.counters()
                latest.setdefault(name, {})[_key(version)] = version.statistics.last_inference_ms
    return {"counters": {"model": counters}, "latest": {"model": latest}}


def counted(version: Version, totals: Totals) -> Statistics:
    """What all processes have counted for a ready version."""
    try:
        counters = totals.counters["model"][version.name][_key(version)]
    except KeyError:  # it became ready a moment ago
        return version.statistics
    return Statistics.of(counters, totals.latest["model"][version.name][_key(version)])


def _key(version: Version) -> str:
    # A file that takes the place of another begins to count anew.
    return f"{version.version}/{version.session.sha256}"
