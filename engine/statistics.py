"""What happened, counted in plain integers: the hot path pays nanoseconds for it."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from engine.histogram import Histogram


@dataclass(slots=True)
class Timer:
    """How often something happened, and how long it took altogether."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, times: int = 1) -> None:
        """It happened `times` more, and took `ns` nanoseconds altogether."""
        self.count += times
        self.ns += ns


@dataclass(slots=True)
class Calls:
    """Calls of one method, from the handler's entry to its end."""

    times: Histogram = field(default_factory=Histogram)
    """All of them."""
    failures: dict[str, Timer] = field(default_factory=dict)
    """Those that failed, by the class of the error, e.g. `InvalidInput`; `Cancelled` when the client went away,
    `Expired` when it stopped waiting at its deadline, `Internal` for an error that nobody foresaw."""

    def failed(self, reason: str, ns: int = 0) -> None:
        """Count one that failed."""
        self.times.add(ns)
        self.failures.setdefault(reason, Timer()).add(ns)

    @property
    def success(self) -> Timer:
        """Those that were answered."""
        failures = self.failures.values()
        return Timer(
            self.times.count - sum(each.count for each in failures), self.times.ns - sum(each.ns for each in failures)
        )


@dataclass(slots=True)
class Statistics:
    """Of one version since the server started, however often it was loaded meanwhile."""

    calls: defaultdict[str, Calls] = field(default_factory=lambda: defaultdict(Calls))
    """Calls that score images, and messages of streams that do, by the path of the method."""
    queue: Histogram = field(default_factory=Histogram)
    """Calls run, from the submission to the start of the run."""
    compute_input: Timer = field(default_factory=Timer)
    """Batches, making one array of the callers' rows."""
    compute_infer: Histogram = field(default_factory=Histogram)
    """Batches, the run itself."""
    compute_output: Timer = field(default_factory=Timer)
    """Batches, writing the callers' answers."""
    rows: int = 0
    """Images scored."""
    batches: dict[int, Timer] = field(default_factory=dict)
    """Runs, by the number of rows in them."""
    dropped: int = 0
    """Calls taken out of the queue, unrun, because their deadline had passed."""
    last_inference_ms: int = 0
    """When the last run ended, milliseconds since 1970; 0 when there was none."""
    load_failures: int = 0
    """How often the version could not be loaded or failed its check."""
    load_seconds: float = 0.0
    """How long the last load that went well took; 0 when there was none."""

    @property
    def executions(self) -> int:
        """Runs."""
        return self.compute_infer.count

    @property
    def success(self) -> Timer:
        """Calls answered, of all methods."""
        return _total(calls.success for calls in self.calls.values())

    @property
    def failures(self) -> dict[str, Timer]:
        """Calls that failed, of all methods, see `Calls.failures`."""
        reasons = {reason for calls in self.calls.values() for reason in calls.failures}
        return {
            reason: _total(calls.failures[reason] for calls in self.calls.values() if reason in calls.failures)
            for reason in sorted(reasons)
        }

    def summary(self) -> "Summary":
        """The same in fewer numbers."""
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
    """Statistics in numbers that can be added, see `Statistics` for what they are of."""

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
        """All that only grows by adding, as JSON has it: names to numbers, or to more of such."""
        counted = asdict(self)
        del counted["last_inference_ms"]
        counted["batches"] = {str(rows): timer for rows, timer in counted["batches"].items()}
        return counted

    @classmethod
    def of(cls, counters: Mapping[str, Any], last_inference_ms: int) -> Self:
        """The summary whose `counters` these are."""
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
