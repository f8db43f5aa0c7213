"""Load from another process on a core of its own, and what it saw."""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from benchmarks.load import h2load
from benchmarks.load.h2load import FailedCallsError
from benchmarks.load.requests import Request
from benchmarks.servers.process import CLIENT_CORES, placed

NAME = "h2load" if h2load.PROGRAM else "our own client (benchmarks/load/client.py): h2load is not installed"
PACED_NAME = "our own client (benchmarks/load/client.py)"
QUANTILES = {"p50_us": 50.0, "p90_us": 90.0, "p99_us": 99.0, "p999_us": 99.9, "max_us": 100.0}


@dataclass(frozen=True)
class Shape:
    """How many calls are in flight: `streams` at once on each of `connections`."""

    connections: int
    streams: int

    def __str__(self) -> str:
        return f"{self.connections}×{self.streams}"


@dataclass(frozen=True)
class Load:
    """What a client saw."""

    calls_per_second: float
    mean_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float
    late_us: float = 0.0
    """By how much our own client was late for one call in a hundred; part of the times above."""


def saturate(port: int, request: Request, shape: Shape, *, calls: int, answer_bytes: int) -> Load:
    """`calls` in a closed loop: the next begins when one is answered.

    `answer_bytes` is the size of a good answer. Raises `FailedCallsError` when calls failed.
    """
    calls = max(calls, shape.connections * shape.streams)
    if h2load.PROGRAM:
        # The times in our answers take a byte or two more or less as they grow; a receipt must not fail on that.
        least = answer_bytes + 5 - 2
        rate, times = h2load.drive(port, request, calls, shape.connections, shape.streams, least)
    else:
        seconds, _, times = _own(port, request, shape.connections, "closed", shape.streams, calls)
        rate = calls / seconds
    return _load(rate, times)


def paced(port: int, request: Request, *, rate: float, seconds: float, connections: int) -> Load:
    """Calls begun at `rate` a second for `seconds`, whatever became of those before.

    Times count from when a call was due. Raises `FailedCallsError` when calls failed or never came back.
    """
    took, late, times = _own(port, request, connections, "paced", rate, seconds)
    return _load(len(times) / took, times, late)


def _own(port: int, request: Request, connections: int, mode: str, *numbers: float) -> tuple[float, float, np.ndarray]:
    command = [sys.executable, "-m", "benchmarks.load.client", str(port), request.path, str(connections), mode]
    with placed(CLIENT_CORES):
        done = subprocess.run([*command, *map(str, numbers)], input=request.message, capture_output=True)
    if done.returncode:
        raise FailedCallsError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    seconds, failed, late, *times = np.frombuffer(done.stdout)
    if failed:
        raise FailedCallsError(f"{failed:.0f} of {failed + len(times):.0f} calls failed")
    return float(seconds), float(late), np.array(times)


def _load(rate: float, times_us: np.ndarray, late_us: float = 0.0) -> Load:
    quantiles = np.percentile(times_us, list(QUANTILES.values()))
    return Load(rate, float(times_us.mean()), *map(float, quantiles), late_us=late_us)
