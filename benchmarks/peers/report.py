"""The tables of a run beside other model servers."""

import statistics
from typing import Protocol

from benchmarks.load.client_process import Concurrency
from benchmarks.load.series import Series
from benchmarks.report.tables import Table, count, microseconds, times

ALONE = Concurrency(1, 1)
PLACED = {
    "free": "servers may use every core, the client has the last one to itself",
    "pinned": "servers share the first core, the client has the last one",
}


REST = ", over REST"
"""What the name of a server ends with where it is asked over REST; the reference is asked the same way."""


class Measured(Protocol):
    """The parts of a result that the tables need."""

    series: Series
    floors: dict[int, list[float]]
    ready_seconds: dict[str, float]
    resident_mb: dict[str, float]
    left_out: dict[str, str]


def tables(outcome: Measured, placement: str, reference: str, sizes: list[int]) -> list[Table]:
    """Rates as absolute values and as multiples of `reference`'s in the same round; latency, memory, start."""
    columns = ["", "calls/s, one image", "× Triton"]
    for rows in sizes[1:]:
        columns += [f"images/s, calls of {rows:,}", "× Triton"]
    rates = Table(f"Saturated, {PLACED[placement]}", columns)
    rest = Table(
        f"One call at a time, start and memory, {PLACED[placement]}",
        ["", "p50", "p99", "start to first right answer", "resident memory after the run"],
    )
    series = outcome.series
    for server in series.servers():
        cells = [server]
        for rows in sizes:
            same_way = reference + REST if server.endswith(REST) else reference
            best, other = series.best(server, rows), series.best(same_way, rows)
            cells.append(f"{count(series.median(best) * rows)} ({best.shape})" if best else "–")
            cells.append(times(series.ratio(best, other)) if best and other else "–")
        rates.rows.append(cells)
        alone = series.best(server, 1, [ALONE])
        latency = (
            [microseconds(series.median(alone, figure)) for figure in ("p50_us", "p99_us")] if alone else ["–"] * 2
        )
        process = server.removesuffix(REST)
        ready, memory = outcome.ready_seconds[process], outcome.resident_mb[process]
        rest.rows.append([server, *latency, f"{ready:.2f} s", f"{memory:.0f} MiB"])
    floors = [statistics.median(outcome.floors[rows]) for rows in sizes]
    cells = ["onnxruntime alone, one thread, no server"]
    for rows, floor in zip(sizes, floors, strict=True):
        other = series.best(reference, rows)
        cells += [count(floor), times(floor / (series.median(other) * rows)) if other else "–"]
    rates.rows.append(cells)
    rates.notes.append("Over REST: HTTP/1.1, tensors in binary; × Triton over REST.")
    rates.notes.append("In parentheses connections × calls in flight on each, where this server did best.")
    rates.notes += [
        f"Left out: {name}. {reason.splitlines()[0] if reason else ''}" for name, reason in outcome.left_out.items()
    ]
    return [rates, rest]
