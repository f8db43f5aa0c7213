"""What happened, counted in plain integers: the hot path pays nanoseconds for it."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from engine.histogram import Histogram


@dataclass(slots=True)
class Tally:
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
    failures: dict[str, Tally] = field(default_factory=dict)
    """Those that failed, by the class of the error, e.g. `InvalidInput`; `Cancelled` when the client went away,
    `Expired` when it stopped waiting at its deadline, `Internal` for an error that nobody foresaw."""

    def failed(self, reason: str, ns: int = 0) -> None:
        """Count one that failed."""
        self.times.add(ns)
        self.failures.setdefault(reason, Tally()).add(ns)

    @property
    def success(self) -> Tally:
        """Those that were answered."""
        failures = self.failures.values()
        return Tally(
            self.times.count - sum(each.count for each in failures), self.times.ns - sum(each.ns for each in failures)
        )


@dataclass(slots=True)
class Statistics:
    """Of one version since the server started, however often it was loaded meanwhile."""

    calls: defaultdict[str, Calls] = field(default_factory=lambda: defaultdict(Calls))
    """Calls that score images, and messages of streams that do, by the path of the method."""
    queue: Histogram = field(default_factory=Histogram)
    """Calls run, from the submission to the start of the run."""
    compute_input: Tally = field(default_factory=Tally)
    """Batches, making one array of the callers' rows."""
    compute_infer: Histogram = field(default_factory=Histogram)
    """Batches, the run itself."""
    compute_output: Tally = field(default_factory=Tally)
    """Batches, writing the callers' answers."""
    rows: int = 0
    """Images scored."""
    batches: dict[int, Tally] = field(default_factory=dict)
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
    def success(self) -> Tally:
        """Calls answered, of all methods."""
        return _total(calls.success for calls in self.calls.values())

    @property
    def failures(self) -> dict[str, Tally]:
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
            Tally(self.queue.count, self.queue.ns),
            self.compute_input,
            Tally(self.compute_infer.count, self.compute_infer.ns),
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
        tally = self.batches.get(rows)
        if tally is None:
            tally = self.batches[rows] = Tally()
        tally.add(infer_ns)
        self.last_inference_ms = time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics in numbers that can be added, see `Statistics` for what they are of."""

    success: Tally
    failures: dict[str, Tally]
    queue: Tally
    compute_input: Tally
    compute_infer: Tally
    compute_output: Tally
    rows: int
    batches: dict[int, Tally]
    last_inference_ms: int

    @property
    def executions(self) -> int:
        """Runs."""
        return self.compute_infer.count

    def counters(self) -> dict[str, Any]:
        """All that only grows by adding, as JSON has it: names to numbers, or to more of such."""
        counted = asdict(self)
        del counted["last_inference_ms"]
        counted["batches"] = {str(rows): tally for rows, tally in counted["batches"].items()}
        return counted

    @classmethod
    def of(cls, counters: Mapping[str, Any], last_inference_ms: int) -> Self:
        """The summary whose `counters` these are."""
        tallies = ("success", "queue", "compute_input", "compute_infer", "compute_output")
        return cls(
            **{name: Tally(**counters[name]) for name in tallies},
            failures={reason: Tally(**tally) for reason, tally in counters["failures"].items()},
            rows=counters["rows"],
            batches={int(rows): Tally(**tally) for rows, tally in counters["batches"].items()},
            last_inference_ms=last_inference_ms,
        )


def _total(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.add(tally.ns, tally.count)
    return total
