"""Our own client: an open loop at a given rate, or, without h2load, a closed loop.

`python -m benchmarks.load.client PORT PATH CONNECTIONS closed STREAMS CALLS` keeps STREAMS calls in flight on each
connection. `… open RATE SECONDS` starts RATE calls per second as a Poisson process (exponential gaps from a fixed
seed). The message is read from stdin. Stdout gets float64 values: the duration in seconds, the number of failed calls,
the 99th percentile of the client's own delay in microseconds, then the microseconds of each successful call.
"""

import select
import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.load.http2 import Connection

SPIN_SECONDS = 60e-6
"""The system's timers may be this late."""
LINGER_SECONDS = 20
"""Seconds to wait for answers after the last call was due."""


def due_times(rate: float, seconds: float, seed: int = 0) -> np.ndarray:
    """Seconds from the start at which calls are due, ascending, on average `rate` per second."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, size=max(1, round(rate * seconds)))
    return np.cumsum(gaps)


def since_due(due: np.ndarray, done: np.ndarray) -> np.ndarray:
    """Microseconds of each call from the time it was due rather than the time it was sent.

    While a server stalls, a closed loop sends nothing, so only one call looks slow. Here all calls that were due
    count with their wait, which avoids coordinated omission (Gil Tene).
    """
    return (done - due) * 1e6


@dataclass(frozen=True)
class ClientResult:
    """Results of one run of the client."""

    seconds: float
    failed: int
    late_us: float
    """99th percentile of the delay between due and sent: the client's own part."""
    times_us: np.ndarray
    """float64, one for each successful call."""


def open_loop(connections: list[Connection], message: bytes, due: np.ndarray) -> ClientResult:
    """Send calls when they are due, spread over the connections."""
    done = np.full(len(due), np.nan)
    sent = np.zeros(len(due))
    number_of: dict[tuple[int, int], int] = {}
    failed = begun = finished = 0
    by_socket = {connection.socket: connection for connection in connections}
    schedule = due.tolist()
    began = time.perf_counter()
    while finished < len(schedule):
        now = time.perf_counter() - began
        while begun < len(schedule) and schedule[begun] <= now:
            connection = connections[begun % len(connections)]
            number_of[id(connection), connection.call(message)] = begun
            sent[begun] = now
            begun += 1
        for connection in connections:
            connection.flush()
        if now > schedule[-1] + LINGER_SECONDS:
            raise TimeoutError(f"{len(schedule) - finished} calls never came back")
        # Spin for the last moments only, since the system would oversleep: a client that always spins would take its
        # core from servers that may use every core.
        wait = schedule[begun] - now - SPIN_SECONDS if begun < len(schedule) else 0.1
        for ready in select.select(by_socket, (), (), max(0.0, wait))[0]:
            connection = by_socket[ready]
            ended = connection.receive()
            at = time.perf_counter() - began
            for stream, answered in ended:
                number = number_of.pop((id(connection), stream))
                finished += 1
                if answered:
                    done[number] = at
                else:
                    failed += 1
    times = since_due(due, done)
    late = float(np.percentile(since_due(due, sent), 99))
    return ClientResult(time.perf_counter() - began, failed, late, times[~np.isnan(times)])


def closed_loop(connections: list[Connection], message: bytes, streams: int, calls: int) -> ClientResult:
    """Keep `streams` calls in flight on each connection until `calls` are done."""
    times: list[float] = []
    begun_at: dict[tuple[int, int], float] = {}
    failed = 0
    left = calls
    poller, by_descriptor = _poller(connections)

    def begin(connection: Connection) -> None:
        nonlocal left
        if left:
            left -= 1
            begun_at[id(connection), connection.call(message)] = time.perf_counter()

    began = time.perf_counter()
    for connection in connections * streams:
        begin(connection)
    while len(times) + failed < calls:
        for connection in connections:
            connection.flush()
        writing = any(connection.wants_write for connection in connections)
        ready = poller.poll(0 if writing else LINGER_SECONDS * 1000)
        if not ready and not writing:
            raise TimeoutError(f"{calls - len(times) - failed} calls never came back")
        for descriptor, _ in ready:
            connection = by_descriptor[descriptor]
            for stream, answered in connection.receive():
                begun = begun_at.pop((id(connection), stream))
                if answered:
                    times.append((time.perf_counter() - begun) * 1e6)
                else:
                    failed += 1
                begin(connection)
    return ClientResult(time.perf_counter() - began, failed, 0.0, np.array(times))


def _poller(connections: list[Connection]) -> tuple[select.poll, dict[int, Connection]]:
    poller = select.poll()
    for connection in connections:
        poller.register(connection.socket, select.POLLIN)
    return poller, {connection.socket.fileno(): connection for connection in connections}


def main() -> None:
    """The command of the module's docstring."""
    port, path, connections, mode, first, second = sys.argv[1:]
    message = sys.stdin.buffer.read()
    opened = [Connection(int(port), path) for _ in range(int(connections))]
    if mode == "open":
        outcome = open_loop(opened, message, due_times(float(first), float(second)))
    else:
        outcome = closed_loop(opened, message, int(first), int(second))
    numbers = [outcome.seconds, outcome.failed, outcome.late_us, *outcome.times_us]
    sys.stdout.buffer.write(np.array(numbers).tobytes())


if __name__ == "__main__":
    main()
