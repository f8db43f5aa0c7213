"""Runs a load client in another process on its own core."""

import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from benchmarks.load import h2load
from benchmarks.load.h2load import FailedCallsError
from benchmarks.load.requests import LoadRequest
from benchmarks.servers.process import CLIENT_CORES, pinned_to

NAME = "h2load" if h2load.PROGRAM else "our own client (benchmarks/load/client.py): h2load is not installed"
PACED_NAME = "our own client (benchmarks/load/client.py)"
QUANTILES = {"p50_us": 50.0, "p90_us": 90.0, "p99_us": 99.0, "p999_us": 99.9, "max_us": 100.0}


@dataclass(frozen=True)
class Concurrency:
    """Number of concurrent calls: `streams` on each of `connections`."""

    connections: int
    streams: int

    def __str__(self) -> str:
        return f"{self.connections}×{self.streams}"


@dataclass(frozen=True)
class LoadResult:
    """Rate and latencies that a client measured."""

    calls_per_second: float
    mean_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float
    late_us: float = 0.0
    """99th percentile of the delay between due and sent of our own client, part of the latencies above."""


def saturate(port: int, request: LoadRequest, shape: Concurrency, *, calls: int, answer_bytes: int) -> LoadResult:
    """`calls` in a closed loop: the next call starts when one is answered.

    `answer_bytes` is the size of a good answer. Raises `FailedCallsError` when calls failed.
    """
    calls = max(calls, shape.connections * shape.streams)
    if h2load.PROGRAM:
        # The times in our answers vary in size, by a byte or two or by some digits, which must not fail the check.
        least = answer_bytes + 5 - 2 if request.rest is None else answer_bytes - 10
        rate, times = h2load.drive(port, request, calls, shape.connections, shape.streams, least)
    elif request.rest is not None:
        raise FailedCallsError("h2load is not installed, and our own client does not speak HTTP/1.1")
    else:
        seconds, _, times = _own(port, request, shape.connections, "closed", shape.streams, calls)
        rate = calls / seconds
    return _load(rate, times)


def open_loop(port: int, request: LoadRequest, *, rate: float, seconds: float, connections: int) -> LoadResult:
    """An open loop: `rate` calls per second for `seconds`, independent of the answers.

    Latency counts from the time a call was due. Raises `FailedCallsError` when calls failed or never came back.
    """
    took, late, times = _own(port, request, connections, "open", rate, seconds)
    return _load(len(times) / took, times, late)


def _own(
    port: int, request: LoadRequest, connections: int, mode: str, *numbers: float
) -> tuple[float, float, np.ndarray]:
    command = [sys.executable, "-m", "benchmarks.load.client", str(port), request.path, str(connections), mode]
    with pinned_to(CLIENT_CORES):
        done = subprocess.run([*command, *map(str, numbers)], input=request.message, capture_output=True)
    if done.returncode:
        raise FailedCallsError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    seconds, failed, late, *times = np.frombuffer(done.stdout)
    if failed:
        raise FailedCallsError(f"{failed:.0f} of {failed + len(times):.0f} calls failed")
    return float(seconds), float(late), np.array(times)


def _load(rate: float, times_us: np.ndarray, late_us: float = 0.0) -> LoadResult:
    quantiles = np.percentile(times_us, list(QUANTILES.values()))
    return LoadResult(rate, float(times_us.mean()), *map(float, quantiles), late_us=late_us)
