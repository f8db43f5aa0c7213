"""What one version of a model has done, counted in plain integers: the hot path pays nanoseconds for it."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


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
class Statistics:
    """Of one version since it was loaded."""

    success: Tally = field(default_factory=Tally)
    """Calls answered, from the handler's entry to the answer."""
    failures: dict[str, Tally] = field(default_factory=dict)
    """Calls that failed, by the class of the error, e.g. `InvalidInput`; `Cancelled` when the client went away."""
    queue: Tally = field(default_factory=Tally)
    """Calls run, from the submission to the start of the run."""
    compute_input: Tally = field(default_factory=Tally)
    """Batches, making one array of the callers' rows."""
    compute_infer: Tally = field(default_factory=Tally)
    """Batches, the run itself."""
    compute_output: Tally = field(default_factory=Tally)
    """Batches, writing the callers' answers."""
    rows: int = 0
    """Images scored."""
    batches: dict[int, Tally] = field(default_factory=dict)
    """Runs, by the number of rows in them."""
    last_inference_ms: int = 0
    """When the last run ended, milliseconds since 1970; 0 when there was none."""

    def counters(self) -> dict[str, Any]:
        """All that only grows by adding, as JSON has it: names to numbers, or to more of such."""
        counted = asdict(self)
        del counted["last_inference_ms"]
        counted["batches"] = {str(rows): tally for rows, tally in counted["batches"].items()}
        return counted

    @classmethod
    def of(cls, counters: Mapping[str, Any], last_inference_ms: int) -> Self:
        """The statistics whose `counters` these are."""
        tallies = ("success", "queue", "compute_input", "compute_infer", "compute_output")
        return cls(
            **{name: Tally(**counters[name]) for name in tallies},
            failures={reason: Tally(**tally) for reason, tally in counters["failures"].items()},
            rows=counters["rows"],
            batches={int(rows): Tally(**tally) for rows, tally in counters["batches"].items()},
            last_inference_ms=last_inference_ms,
        )

    @property
    def executions(self) -> int:
        """Runs."""
        return self.compute_infer.count

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

    def failed(self, reason: str, ns: int) -> None:
        """Count one call that failed."""
        self.failures.setdefault(reason, Tally()).add(ns)
