"""`make bench-peers`: other model servers beside ours, in one run, on the same bytes.

Each peer has a virtual environment of its own and the same model; each is asked, with the same load, what it
can answer. All run at once and are measured in turns, so that a round's figures are seconds apart. A peer that
does not start, or answers wrongly, is named with the end of its log and left out.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks.load.client_process import Concurrency
from benchmarks.load.requests import LoadRequest, WrongAnswerError, infer, infer_rest
from benchmarks.load.rounds import Target, one_round
from benchmarks.load.series import Series
from benchmarks.peers.entries import PEERS, TRITON
from benchmarks.peers.install import InstallError
from benchmarks.peers.report import REST, tables
from benchmarks.report.tables import document, setting
from benchmarks.servers import digits_server
from benchmarks.servers.baseline import onnxruntime_alone
from benchmarks.servers.machine_load import MachineLoad, note
from benchmarks.servers.process import PLACEMENTS, RunningServer, ServerCommand, StartError, end_on_sigterm, run_server

ALONE = Concurrency(1, 1)
SHAPES = {
    1: (ALONE, Concurrency(4, 32), Concurrency(8, 64), Concurrency(8, 96)),
    256: (Concurrency(2, 4), Concurrency(4, 8)),
    1024: (Concurrency(2, 4), Concurrency(4, 8)),
}
"""Images a call -> how many calls are in flight; of a server's rates the best counts.

Never a thousand: beyond that grpc's own servers begin to cancel calls at random (`grpc.server.max_pending_requests`).
"""
REST_SHAPES = {
    1: (ALONE, Concurrency(32, 1), Concurrency(64, 1), Concurrency(128, 1)),
    256: (Concurrency(8, 1), Concurrency(16, 1)),
}
"""The same over REST, where a connection of HTTP/1.1 has one call at a time."""
OUT = Path(__file__).resolve().parents[1] / "results"

console = Console()


@dataclass
class PeerResult:
    """Results of one placement."""

    series: Series = field(default_factory=Series)
    floors: dict[int, list[float]] = field(default_factory=dict)
    """onnxruntime alone, images a second, by images in a run."""
    ready_seconds: dict[str, float] = field(default_factory=dict)
    resident_mb: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """A running server and its requests by images a call."""

    server: RunningServer
    requests: dict[int, LoadRequest]
    rest: dict[int, LoadRequest] = field(default_factory=dict)


@contextmanager
def contenders(outcome: PeerResult, placement: str) -> Iterator[list[Contender]]:
    """The servers that start, ours first; `outcome.left_out` has the others."""
    same = {rows: infer(rows) for rows in SHAPES}
    same_by_rest = {rows: infer_rest(rows) for rows in REST_SHAPES}
    found: list[Contender] = []
    with ExitStack() as stack:

        def start(
            server: ServerCommand, requests: dict[int, LoadRequest], rest: dict[int, LoadRequest] | None = None
        ) -> None:
            console.print(f"starting {server.name}", style="dim")
            try:
                process = stack.enter_context(run_server(server, requests[1], digits_server.LOGS, placement))
            except StartError as error:
                leave_out(server.name, str(error))
                return
            outcome.ready_seconds[server.name] = process.ready_seconds
            found.append(Contender(process, requests, rest or {}))

        def leave_out(name: str, reason: str) -> None:
            console.print(f"{name} is left out: {reason}", style="red", markup=False)
            outcome.left_out[name] = reason

        recorded = digits_server.record(list(same.values()), digits_server.CACHE / "peers-answers.json")
        for front in digits_server.fronts():
            start(digits_server.digits(front), same, same_by_rest)
            start(digits_server.echo(front, recorded), same)
        for peer in PEERS:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            try:
                server = peer.prepare(Path(scratch))
            except InstallError as error:
                leave_out(peer.name, f"it cannot be installed: {error}")
                continue
            start(server, {rows: peer.request(rows) for rows in SHAPES}, same_by_rest if peer.name == TRITON else None)
        yield found


def measure(placement: str, rounds: int, seconds: float) -> PeerResult:
    """All measurements with one placement of the servers."""
    outcome = PeerResult(floors={rows: [] for rows in SHAPES})
    with contenders(outcome, placement) as found:
        targets: dict[int, list[Target]] = {rows: [] for rows in SHAPES}
        by_rest: dict[int, list[Target]] = {rows: [] for rows in REST_SHAPES}
        for contender in found:
            name = contender.server.name
            for into, requests, suffix in ((targets, contender.requests, ""), (by_rest, contender.rest, REST)):
                for rows, request in requests.items():
                    try:
                        into[rows].append(Target.check(contender.server, request, name + suffix))
                    except (WrongAnswerError, ConnectionError) as error:
                        outcome.left_out[f"{name}{suffix}, calls of {rows}"] = str(error)
        for number in range(rounds):
            for rows, shapes in SHAPES.items():
                outcome.floors[rows].append(onnxruntime_alone(rows))
                one_round(outcome.series, targets[rows], shapes, seconds)
            for rows, shapes in REST_SHAPES.items():
                one_round(outcome.series, by_rest[rows], shapes, seconds)
            console.print(f"server {placement}: round {number + 1} of {rounds}", style="dim")
        outcome.resident_mb = {contender.server.name: contender.server.resident_mb() for contender in found}
    for key, reason in outcome.series.failures.items():
        outcome.left_out[f"{key.server}, calls of {key.images}, {key.shape} in flight"] = reason
    return outcome


def main() -> None:
    """Measure, print, and write `peers.md` and `peers.json`."""
    parser = argparse.ArgumentParser(prog="make bench-peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of load, for each figure in each round")
    parser.add_argument("--placement", choices=PLACEMENTS, action="append", help="default: each in turn")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for what is written")
    chosen = parser.parse_args()
    end_on_sigterm()
    for missing in digits_server.missing_tools():
        console.print(missing, style="yellow")

    machine_load = MachineLoad()
    outcomes = {
        placement: measure(placement, chosen.rounds, chosen.seconds) for placement in chosen.placement or PLACEMENTS
    }
    shown = [
        table for placement, outcome in outcomes.items() for table in tables(outcome, placement, TRITON, list(SHAPES))
    ]
    for table in shown:
        table.show(console)
    busy = note(machine_load.share())
    console.print(busy)
    page = document("Beside other model servers", "make bench-peers", shown, busy)
    (chosen.out / "peers.md").write_text(page)
    as_json = {
        placement: {
            "ready_seconds": outcome.ready_seconds,
            "resident_mb": outcome.resident_mb,
            "onnxruntime_images_per_second": outcome.floors,
            "measured": outcome.series.as_json(),
            "left_out": outcome.left_out,
        }
        for placement, outcome in outcomes.items()
    }
    (chosen.out / "peers.json").write_text(json.dumps({"setting": f"{setting()} {busy}", **as_json}, indent=1) + "\n")


if __name__ == "__main__":
    main()
