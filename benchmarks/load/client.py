"""Our own client: calls when they are due, whatever became of those before; or, without h2load, as fast as it goes.

`python -m benchmarks.load.client PORT PATH CONNECTIONS closed STREAMS CALLS` keeps STREAMS calls in flight on each
connection. `… paced RATE SECONDS` begins calls at RATE a second, at random like those of many callers who know
nothing of one another (exponential gaps, from a fixed seed). The message comes on stdin; on stdout come float64:
the seconds it took, how many calls failed, by how many microseconds the client itself was late for one call in a
hundred, then the microseconds of each call that did not fail.
"""

import select
import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.load.http2 import Connection

LINGER_SECONDS = 20
"""How long answers are waited for after the last call was due."""


def due_times(rate: float, seconds: float, seed: int = 0) -> np.ndarray:
    """Seconds from the start at which calls are due, ascending, `rate` a second on average."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, size=max(1, round(rate * seconds)))
    return np.cumsum(gaps)


def since_due(due: np.ndarray, done: np.ndarray) -> np.ndarray:
    """Microseconds of each call from when it was due, not from when it could be sent.

    A server that halts for a second makes a closed loop send nothing, so only one call looks slow. Here all
    that were due meanwhile count with the wait they had: there is no coordinated omission (Gil Tene's term).
    """
    return (done - due) * 1e6


@dataclass(frozen=True)
class Outcome:
    """What one run of the client saw."""

    seconds: float
    failed: int
    late_us: float
    """Of the calls' delays between due and begun, the 99th percentile: the client's own part."""
    times_us: np.ndarray
    """float64, one for each call that did not fail."""


def paced(connections: list[Connection], message: bytes, due: np.ndarray) -> Outcome:
    """Calls as they are due, spread over the connections."""
    done = np.full(len(due), np.nan)
    sent = np.zeros(len(due))
    number_of: dict[tuple[int, int], int] = {}
    failed = begun = finished = 0
    poller, by_descriptor = _poller(connections)
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
        # Waits under a millisecond are spun: the system would oversleep, and the client has its core to itself.
        wait = schedule[begun] - now if begun < len(schedule) else 0.1
        for descriptor, _ in poller.poll(max(0, int(wait * 1e3))):
            connection = by_descriptor[descriptor]
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
    return Outcome(time.perf_counter() - began, failed, late, times[~np.isnan(times)])


def closed(connections: list[Connection], message: bytes, streams: int, calls: int) -> Outcome:
    """`streams` calls at once on each connection until there were `calls`."""
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
    return Outcome(time.perf_counter() - began, failed, 0.0, np.array(times))


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
    if mode == "paced":
        outcome = paced(opened, message, due_times(float(first), float(second)))
    else:
        outcome = closed(opened, message, int(first), int(second))
    numbers = [outcome.seconds, outcome.failed, outcome.late_us, *outcome.times_us]
    sys.stdout.buffer.write(np.array(numbers).tobytes())


if __name__ == "__main__":
    main()
