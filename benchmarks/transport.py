"""Measures one front of `digits serve` beside its baselines: a bare echo, and onnxruntime alone."""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.load import client_process
from benchmarks.load.client_process import Concurrency, LoadResult
from benchmarks.load.h2load import FailedCallsError
from benchmarks.load.requests import LoadRequest, classify, infer, infer_by_shared_memory
from benchmarks.load.rounds import Target, one_round
from benchmarks.load.series import Series
from benchmarks.servers import digits_server
from benchmarks.servers.baseline import onnxruntime_alone
from benchmarks.servers.process import RunningServer, run_server

ALONE = Concurrency(1, 1)
SINGLE_SHAPES = (ALONE, Concurrency(1, 32), Concurrency(4, 32), Concurrency(8, 64), Concurrency(8, 96))
BATCH_SHAPES = (Concurrency(2, 4), Concurrency(4, 8))
BATCHES = (1, 32, 256, 1024)
FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""The fixed rates, as fractions of the saturated rate of `Classify`."""
PACED_CONNECTIONS = 8
STARTS = 3
CLASSIFY, ECHO = "Classify", "bare echo"
WAYS: dict[str, Callable[[int], LoadRequest]] = {
    CLASSIFY: classify,
    "ModelInfer uint8": infer,
    "ModelInfer float32": lambda rows: infer(rows, "FP32"),
}
SHARED_MEMORY = "ModelInfer shared memory"


@dataclass
class TransportOutcome:
    """Results of one front."""

    front: str
    single: Series = field(default_factory=Series)
    batches: Series = field(default_factory=Series)
    floors: dict[int, list[float]] = field(default_factory=dict)
    """onnxruntime alone, images a second, by images in a run."""
    paced: dict[float, dict[str, list[LoadResult]]] = field(default_factory=dict)
    """Results of each round, by fraction of the saturated rate, then by target."""
    paced_failures: dict[str, str] = field(default_factory=dict)
    ready_seconds: dict[str, list[float]] = field(default_factory=dict)
    resident_mb: dict[str, float] = field(default_factory=dict)
    """Of `digits serve`, once ready and after all load."""

    def saturated(self) -> float:
        """Saturated rate of `Classify` with one image, calls per second."""
        best = self.single.best(CLASSIFY, 1)
        if best is None:
            raise FailedCallsError(f"no load of {self.front} came through: {self.single.failures}")
        return self.single.median(best)

    def as_json(self) -> dict[str, Any]:
        """The results for JSON."""
        return {
            "ready_seconds": self.ready_seconds,
            "resident_mb": self.resident_mb,
            "single": self.single.as_json(),
            "batches": self.batches.as_json(),
            "onnxruntime_images_per_second": self.floors,
            "paced": [
                {"of_saturated": fraction, "server": name, "rounds": [asdict(each) for each in loads]}
                for fraction, by_name in self.paced.items()
                for name, loads in by_name.items()
            ],
            "left_out": self.paced_failures,
        }


def measure_transport(front: str, rounds: int, seconds: float, say: Callable[[str], None]) -> TransportOutcome:
    """Measure with server and client on one core each; `say` is called with the progress."""
    outcome = TransportOutcome(front)
    singles = {name: make(1) for name, make in WAYS.items()}
    everything = [make(rows) for rows in BATCHES for make in WAYS.values()]
    recorded = digits_server.record(everything, digits_server.CACHE / f"{front}-answers.json")
    served, echoing = digits_server.digits(front), digits_server.echo(front, recorded)

    for name, server in ((CLASSIFY, served), (ECHO, echoing)):
        for _ in range(STARTS):
            with run_server(server, singles[CLASSIFY], digits_server.LOGS, "pinned") as process:
                outcome.ready_seconds.setdefault(name, []).append(process.ready_seconds)
                outcome.resident_mb.setdefault(f"{name}, ready", process.resident_mb())
    say("started and stopped")

    with ExitStack() as stack:
        digits = stack.enter_context(run_server(served, singles[CLASSIFY], digits_server.LOGS, "pinned"))
        echo = stack.enter_context(run_server(echoing, singles[CLASSIFY], digits_server.LOGS, "pinned"))
        targets = [Target.check(digits, singles[name], name) for name in (CLASSIFY, "ModelInfer uint8")]
        targets.append(Target.check(echo, singles[CLASSIFY], ECHO))
        for number in range(rounds):
            one_round(outcome.single, targets, SINGLE_SHAPES, seconds)
            say(f"one image a call, round {number + 1} of {rounds}")
        for rows in BATCHES:
            _measure_batch(outcome, digits, echo, rows, rounds, seconds)
            say(f"calls of {rows} images")
        _measure_paced(outcome, [targets[0], targets[-1]], rounds, 3 * seconds, say)
        outcome.resident_mb[f"{CLASSIFY}, after the load"] = digits.resident_mb()
    return outcome


def _measure_batch(
    outcome: TransportOutcome, digits: RunningServer, echo: RunningServer, rows: int, rounds: int, seconds: float
) -> None:
    with infer_by_shared_memory(digits.port, rows) as shared:
        requests = {name: make(rows) for name, make in WAYS.items()} | {SHARED_MEMORY: shared}
        targets = [Target.check(digits, request, name) for name, request in requests.items()]
        targets.append(Target.check(echo, requests["ModelInfer uint8"], ECHO))
        for _ in range(rounds):
            outcome.floors.setdefault(rows, []).append(onnxruntime_alone(rows))
            one_round(outcome.batches, targets, BATCH_SHAPES, seconds / 2)


def _measure_paced(
    outcome: TransportOutcome, targets: list[Target], rounds: int, seconds: float, say: Callable[[str], None]
) -> None:
    for fraction in FRACTIONS:
        rate = fraction * outcome.saturated()
        outcome.paced[fraction] = {}
        for _ in range(rounds):
            for target in targets:
                label = f"{target.name} at {rate:,.0f} calls/s"
                if label in outcome.paced_failures:
                    continue
                try:
                    seen = client_process.open_loop(
                        target.port, target.request, rate=rate, seconds=seconds, connections=PACED_CONNECTIONS
                    )
                    outcome.paced[fraction].setdefault(target.name, []).append(seen)
                except FailedCallsError as error:
                    outcome.paced_failures[label] = str(error)
                    outcome.paced[fraction].pop(target.name, None)
        say(f"at {fraction:.0%} of the saturated rate")


def median_of(loads: list[LoadResult], figure: str) -> float:
    """The median of one field over the rounds."""
    return statistics.median(getattr(each, figure) for each in loads)
