"""Counters of calls and runs, in plain integers: they cost the hot path nanoseconds."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from engine.histogram import Histogram


@dataclass(slots=True)
class Timer:
    """A count of events and their total time."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, times: int = 1) -> None:
        """Count `times` more events that took `ns` nanoseconds together."""
        self.count += times
        self.ns += ns


@dataclass(slots=True)
class Calls:
    """Calls of one method, from the handler's entry to its end."""

    times: Histogram = field(default_factory=Histogram)
    """Times of all calls."""
    failures: dict[str, Timer] = field(default_factory=dict)
    """Failed calls by the class of the error, e.g. `InvalidInput`; `Cancelled` when the client cancelled, `Expired`
    when its deadline passed, `Internal` for an unexpected error."""

    def failed(self, reason: str, ns: int = 0) -> None:
        """Count a failed call."""
        self.times.add(ns)
        self.failures.setdefault(reason, Timer()).add(ns)

    @property
    def success(self) -> Timer:
        """Answered calls."""
        failures = self.failures.values()
        return Timer(
            self.times.count - sum(each.count for each in failures), self.times.ns - sum(each.ns for each in failures)
        )


@dataclass(slots=True)
class Statistics:
    """Counters of one version since the server started, over all its loads."""

    calls: defaultdict[str, Calls] = field(default_factory=lambda: defaultdict(Calls))
    """Calls and stream messages that score images, by the path of the method."""
    queue: Histogram = field(default_factory=Histogram)
    """Times of calls from submission to the start of the run."""
    compute_input: Timer = field(default_factory=Timer)
    """Batches: concatenating the rows of the callers."""
    compute_infer: Histogram = field(default_factory=Histogram)
    """Batches: the run itself."""
    compute_output: Timer = field(default_factory=Timer)
    """Batches: writing the answers of the callers."""
    rows: int = 0
    """Images scored."""
    batches: dict[int, Timer] = field(default_factory=dict)
    """Runs, by the number of rows in them."""
    dropped: int = 0
    """Calls that were dropped from the queue because their deadline had passed."""
    last_inference_ms: int = 0
    """End of the last run, milliseconds since 1970; 0 before the first."""
    load_failures: int = 0
    """Failed loads, by an error or a failed check."""
    load_seconds: float = 0.0
    """Time of the last successful load, seconds; 0 before the first."""

    @property
    def executions(self) -> int:
        """Runs."""
        return self.compute_infer.count

    @property
    def success(self) -> Timer:
        """Answered calls of all methods."""
        return _total(calls.success for calls in self.calls.values())

    @property
    def failures(self) -> dict[str, Timer]:
        """Failed calls of all methods, see `Calls.failures`."""
        reasons = {reason for calls in self.calls.values() for reason in calls.failures}
        return {
            reason: _total(calls.failures[reason] for calls in self.calls.values() if reason in calls.failures)
            for reason in sorted(reasons)
        }

    def summary(self) -> "Summary":
        """The part that the statistics of the Open Inference Protocol need."""
        return Summary(
            self.success,
            self.failures,
            Timer(self.queue.count, self.queue.ns),
            self.compute_input,
            Timer(self.compute_infer.count, self.compute_infer.ns),
            self.compute_output,
            self.rows,
            self.batches,
            self.last_inference_ms,
        )

    def ran(self, rows: int, input_ns: int, infer_ns: int, output_ns: int) -> None:
        """Count one run of `rows` rows."""
        self.rows += rows
        self.compute_input.add(input_ns)
        self.compute_infer.add(infer_ns)
        self.compute_output.add(output_ns)
        timer = self.batches.get(rows)
        if timer is None:
            timer = self.batches[rows] = Timer()
        timer.add(infer_ns)
        self.last_inference_ms = time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics of the Open Inference Protocol; see `Statistics` for the fields."""

    success: Timer
    failures: dict[str, Timer]
    queue: Timer
    compute_input: Timer
    compute_infer: Timer
    compute_output: Timer
    rows: int
    batches: dict[int, Timer]
    last_inference_ms: int

    @property
    def executions(self) -> int:
        """Runs."""
        return self.compute_infer.count

    def counters(self) -> dict[str, Any]:
        """All fields but `last_inference_ms` as JSON values: numbers, and mappings of numbers."""
        counted = asdict(self)
        del counted["last_inference_ms"]
        counted["batches"] = {str(rows): timer for rows, timer in counted["batches"].items()}
        return counted

    @classmethod
    def of(cls, counters: Mapping[str, Any], last_inference_ms: int) -> Self:
        """The summary with these `counters`."""
        timers = ("success", "queue", "compute_input", "compute_infer", "compute_output")
        return cls(
            **{name: Timer(**counters[name]) for name in timers},
            failures={reason: Timer(**timer) for reason, timer in counters["failures"].items()},
            rows=counters["rows"],
            batches={int(rows): Timer(**timer) for rows, timer in counters["batches"].items()},
            last_inference_ms=last_inference_ms,
        )


def _total(timers: Iterable[Timer]) -> Timer:
    total = Timer()
    for timer in timers:
        total.add(timer.ns, timer.count)
    return total
