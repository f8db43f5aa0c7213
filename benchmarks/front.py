"""One front of `digits serve`, measured beside the floors it stands on."""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.load import load
from benchmarks.load.h2load import FailedCallsError
from benchmarks.load.load import Load, Shape
from benchmarks.load.requests import Request, classify, infer, infer_by_shared_memory
from benchmarks.load.rounds import Target, one_round
from benchmarks.load.series import Series
from benchmarks.servers import digits_server
from benchmarks.servers.baseline import onnxruntime_alone
from benchmarks.servers.process import Running, running

ALONE = Shape(1, 1)
SINGLE_SHAPES = (ALONE, Shape(1, 32), Shape(4, 32), Shape(8, 64), Shape(8, 96))
BATCH_SHAPES = (Shape(2, 4), Shape(4, 8))
BATCHES = (1, 32, 256, 1024)
FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""The fixed rates, as parts of what `Classify` reached saturated."""
PACED_CONNECTIONS = 8
STARTS = 3
CLASSIFY, ECHO = "Classify", "bare echo"
WAYS: dict[str, Callable[[int], Request]] = {
    CLASSIFY: classify,
    "ModelInfer uint8": infer,
    "ModelInfer float32": lambda rows: infer(rows, "FP32"),
}
SHARED_MEMORY = "ModelInfer shared memory"


@dataclass
class FrontOutcome:
    """What one front gave."""

    front: str
    single: Series = field(default_factory=Series)
    batches: Series = field(default_factory=Series)
    floors: dict[int, list[float]] = field(default_factory=dict)
    """onnxruntime alone, images a second, by images in a run."""
    paced: dict[float, dict[str, list[Load]]] = field(default_factory=dict)
    """By the part of the saturated rate, then by whose latency it is, a load for each round."""
    paced_failures: dict[str, str] = field(default_factory=dict)
    ready_seconds: dict[str, list[float]] = field(default_factory=dict)
    resident_mb: dict[str, float] = field(default_factory=dict)
    """Of `digits serve`, once ready and after all the load."""

    def saturated(self) -> float:
        """Calls of one image a second that `Classify` reached."""
        best = self.single.best(CLASSIFY, 1)
        if best is None:
            raise FailedCallsError(f"no load of {self.front} came through: {self.single.failures}")
        return self.single.median(best)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
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


def measure_front(front: str, rounds: int, seconds: float, say: Callable[[str], None]) -> FrontOutcome:
    """Server and client on a core each; `say` is told how far it is."""
    outcome = FrontOutcome(front)
    singles = {name: make(1) for name, make in WAYS.items()}
    everything = [make(rows) for rows in BATCHES for make in WAYS.values()]
    recorded = digits_server.record(everything, digits_server.CACHE / f"{front}-answers.json")
    served, echoing = digits_server.digits(front), digits_server.echo(front, recorded)

    for name, server in ((CLASSIFY, served), (ECHO, echoing)):
        for _ in range(STARTS):
            with running(server, singles[CLASSIFY], digits_server.LOGS, "pinned") as process:
                outcome.ready_seconds.setdefault(name, []).append(process.ready_seconds)
                outcome.resident_mb.setdefault(f"{name}, ready", process.resident_mb())
    say("started and stopped")

    with ExitStack() as stack:
        digits = stack.enter_context(running(served, singles[CLASSIFY], digits_server.LOGS, "pinned"))
        echo = stack.enter_context(running(echoing, singles[CLASSIFY], digits_server.LOGS, "pinned"))
        targets = [Target.checked(digits, singles[name], name) for name in (CLASSIFY, "ModelInfer uint8")]
        targets.append(Target.checked(echo, singles[CLASSIFY], ECHO))
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
    outcome: FrontOutcome, digits: Running, echo: Running, rows: int, rounds: int, seconds: float
) -> None:
    with infer_by_shared_memory(digits.port, rows) as shared:
        requests = {name: make(rows) for name, make in WAYS.items()} | {SHARED_MEMORY: shared}
        targets = [Target.checked(digits, request, name) for name, request in requests.items()]
        targets.append(Target.checked(echo, requests["ModelInfer uint8"], ECHO))
        for _ in range(rounds):
            outcome.floors.setdefault(rows, []).append(onnxruntime_alone(rows))
            one_round(outcome.batches, targets, BATCH_SHAPES, seconds / 2)


def _measure_paced(
    outcome: FrontOutcome, targets: list[Target], rounds: int, seconds: float, say: Callable[[str], None]
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
                    seen = load.paced(
                        target.port, target.request, rate=rate, seconds=seconds, connections=PACED_CONNECTIONS
                    )
                    outcome.paced[fraction].setdefault(target.name, []).append(seen)
                except FailedCallsError as error:
                    outcome.paced_failures[label] = str(error)
                    outcome.paced[fraction].pop(target.name, None)
        say(f"at {fraction:.0%} of the saturated rate")


def median_of(loads: list[Load], figure: str) -> float:
    """The median over rounds of one figure."""
    return statistics.median(getattr(each, figure) for each in loads)
