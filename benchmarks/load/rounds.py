"""Rounds: in each everything is measured once, those to be compared one right after the other.

Machines are noisy, and what else runs on them comes and goes. Two things measured within the same few
seconds see the same machine; what is reported is the median over the rounds.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.load import load
from benchmarks.load.h2load import FailedCallsError
from benchmarks.load.load import Shape
from benchmarks.load.requests import Request, answer
from benchmarks.load.series import Key, Series
from benchmarks.servers.process import Running

SAMPLES = 10


@dataclass(frozen=True)
class Target:
    """A request to a server that is known to answer it rightly."""

    name: str
    port: int
    request: Request
    answer_bytes: int

    @classmethod
    def checked(cls, server: Running, request: Request, name: str = "") -> "Target":
        """Ask a few times and look at the answers. Raises what `benchmarks.load.requests.answer` does."""
        size = min(len(answer(server.port, request)) for _ in range(SAMPLES))
        return cls(name or server.name, server.port, request, size)


def one_round(series: Series, targets: Iterable[Target], shapes: Iterable[Shape], seconds: float) -> None:
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


def _warmed(target: Target, shape: Shape) -> load.Load:
    return _saturate(target, shape, calls=20 + 2 * shape.connections * shape.streams)


def _saturate(target: Target, shape: Shape, calls: int) -> load.Load:
    return load.saturate(target.port, target.request, shape, calls=calls, answer_bytes=target.answer_bytes)
