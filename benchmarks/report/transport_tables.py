"""The tables of `make bench`."""

import statistics

from benchmarks.load import client_process
from benchmarks.load.series import Key
from benchmarks.report.tables import Table, count, microseconds, times
from benchmarks.transport import (
    ALONE,
    BATCHES,
    CLASSIFY,
    ECHO,
    SHARED_MEMORY,
    SINGLE_SHAPES,
    WAYS,
    TransportOutcome,
    median_of,
)


def tables(outcome: TransportOutcome) -> list[Table]:
    """All tables of one front."""
    return [single_images(outcome), open_loop(outcome), batches(outcome), process(outcome)]


def single_images(outcome: TransportOutcome) -> Table:
    """One image per call: rates by concurrency, and the latency of a single call."""
    busy = [shape for shape in SINGLE_SHAPES if shape != ALONE]
    table = Table(
        f"{outcome.front} front: one image a call",
        ["calls/s by connections × calls in flight", *map(str, busy), "best ÷ best echo", "p50 alone", "p99 alone"],
    )
    series = outcome.single
    floor = series.best(ECHO, 1, busy)
    for name in series.servers():
        keys = [Key(name, 1, shape) for shape in busy]
        best = series.best(name, 1, busy)
        cells = [count(series.median(key)) if key in series.loads else "failed" for key in keys]
        cells.append(f"{series.ratio(best, floor):.0%}" if best and floor else "–")
        alone = Key(name, 1, ALONE)
        cells += [microseconds(series.median(alone, figure)) for figure in ("p50_us", "p99_us")]
        table.rows.append([name, *cells])
    slower = series.ratio(Key(CLASSIFY, 1, ALONE), Key(ECHO, 1, ALONE), "p50_us")
    table.notes.append(f"A lone Classify takes {times(slower)} the time of a lone bare echo (p50, median of rounds).")
    table.notes += [f"Failed: {key.server}, {key.shape}. {reason}" for key, reason in series.failures.items()]
    return table


def open_loop(outcome: TransportOutcome) -> Table:
    """Latency of an open loop at fixed rates."""
    figures = [name for name in client_process.QUANTILES if name != "p90_us"]
    table = Table(
        f"{outcome.front} front: latency at fixed rates, one image a call",
        ["", "calls/s", "of saturated", "p50", "p99", "p99.9", "max", "p99 ÷ p50"],
    )
    late = 0.0
    for fraction, by_name in outcome.paced.items():
        for name, loads in by_name.items():
            values = [median_of(loads, figure) for figure in figures]
            late = max(late, median_of(loads, "late_us"))
            rate = count(fraction * outcome.saturated())
            ratio = values[1] / values[0]
            table.rows.append([name, rate, f"{fraction:.0%}", *map(microseconds, values), times(ratio)])
    table.notes.append(
        f"Open loop by {client_process.PACED_NAME}: "
        "calls are due at random moments (exponential gaps) and timed from when "
        f"they were due, so waiting behind a slow call counts (no coordinated omission). The client itself was at "
        f"most {microseconds(late)} late for 99 % of the calls."
    )
    table.notes += [f"Failed: {name}. {reason}" for name, reason in outcome.paced_failures.items()]
    return table


def batches(outcome: TransportOutcome) -> Table:
    """Images a second by images a call, and as a part of onnxruntime alone."""
    ways = [*WAYS, SHARED_MEMORY, ECHO]
    table = Table(
        f"{outcome.front} front: images/s, and the part of onnxruntime alone on one core",
        ["images a call", "onnxruntime alone", *ways],
    )
    table.columns = [*table.columns[:-1], f"{ECHO} of uint8"]
    series = outcome.batches
    for rows in BATCHES:
        floor = statistics.median(outcome.floors[rows])
        cells = [str(rows), count(floor)]
        for way in ways:
            best = series.best(way, rows)
            if best is None:
                cells.append("failed")
                continue
            part = statistics.median(
                each.calls_per_second * rows / alone
                for each, alone in zip(series.loads[best], outcome.floors[rows], strict=True)
            )
            cells.append(f"{count(series.median(best) * rows)} ({part:.0%})")
        table.rows.append(cells)
    table.notes += [
        f"Failed: {key.server} of {key.images}, {key.shape}. {reason}" for key, reason in series.failures.items()
    ]
    return table


def process(outcome: TransportOutcome) -> Table:
    """Start and memory."""
    table = Table(
        f"{outcome.front} front: start and memory, with the committed models",
        ["", "start to first right answer", "resident, ready", "resident, after the load"],
    )
    for name in (CLASSIFY, ECHO):
        ready = statistics.median(outcome.ready_seconds[name])
        memory = [outcome.resident_mb.get(f"{name}, {when}") for when in ("ready", "after the load")]
        label = "digits serve" if name == CLASSIFY else name
        cells = [f"{value:.0f} MiB" if value else "–" for value in memory]
        table.rows.append([label, f"{ready:.2f} s", *cells])
    return table
