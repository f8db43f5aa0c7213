"""Rounds: each one measures every target once, in direct succession.

The load of a machine changes over time. Targets that are measured within the same few seconds see the same
machine; the median over the rounds is reported.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.load import client_process
from benchmarks.load.client_process import Concurrency
from benchmarks.load.h2load import FailedCallsError
from benchmarks.load.requests import LoadRequest, answer
from benchmarks.load.series import Key, Series
from benchmarks.servers.process import RunningServer

SAMPLES = 10


@dataclass(frozen=True)
class Target:
    """A request to a server whose answer was checked."""

    name: str
    port: int
    request: LoadRequest
    answer_bytes: int

    @classmethod
    def check(cls, server: RunningServer, request: LoadRequest, name: str = "") -> "Target":
        """Send the request a few times and check the answers. Raises the errors of `answer`."""
        port = server.port if request.rest is None else server.http_port
        size = min(len(answer(port, request)) for _ in range(SAMPLES))
        return cls(name or server.name, port, request, size)


def one_round(series: Series, targets: Iterable[Target], shapes: Iterable[Concurrency], seconds: float) -> None:
    """Saturate each target for about `seconds` with each shape, and add what was seen.

    Something measured for the first time is warmed up, which also tells how many calls fill the time.
    """
    for shape in shapes:
        for target in targets:
            key = Key(target.name, target.request.rows, shape)
            if key in series.failures:
                continue
            try:
                known = series.loads.get(key)
                rate = (known[-1] if known else _warmed(target, shape)).calls_per_second
                series.add(key, _saturate(target, shape, calls=round(rate * seconds)))
            except FailedCallsError as error:
                series.fail(key, str(error))


def _warmed(target: Target, shape: Concurrency) -> client_process.LoadResult:
    return _saturate(target, shape, calls=20 + 2 * shape.connections * shape.streams)


def _saturate(target: Target, shape: Concurrency, calls: int) -> client_process.LoadResult:
    return client_process.saturate(target.port, target.request, shape, calls=calls, answer_bytes=target.answer_bytes)
