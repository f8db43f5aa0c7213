"""`make bench-call`: what one call of one image costs its server, by thread, alone and at half load.

For each front the service and the bare echo in turns: latency from the client, and what the kernel counted for each
thread of the server meanwhile: CPU time, wake-ups (voluntary context switches) and preemptions. Counters of the
processor, such as cache misses, are not read: most virtual machines have none.
"""

import argparse
import statistics
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from benchmarks.load import client_process
from benchmarks.load.client_process import Concurrency, LoadResult
from benchmarks.load.requests import infer
from benchmarks.load.rounds import Target
from benchmarks.report.tables import Table, count, microseconds, setting
from benchmarks.servers import digits_server
from benchmarks.servers.machine_load import MachineLoad, note
from benchmarks.servers.process import RunningServer, descendants, end_on_sigterm, run_server

BUSY = Concurrency(8, 64)
CONNECTIONS = 8
SMALL = 0.02
"""Share of a server's CPU time below which a thread is counted among the others."""

console = Console()


def thread_counts(pid: int) -> dict[str, tuple[float, int, int]]:
    """By thread, named with its place in its process: CPU seconds, voluntary and involuntary context switches.

    Of several processes the later ones have their number before the name.
    """
    found = {}
    for number, process in enumerate((pid, *descendants(pid))):
        tasks = sorted(Path(f"/proc/{process}/task").iterdir(), key=lambda task: int(task.name))
        for place, task in enumerate(tasks):
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            seconds = int((task / "schedstat").read_text().split()[0]) / 1e9
            switches = (int(status[f"{kind}_ctxt_switches"]) for kind in ("voluntary", "nonvoluntary"))
            found[f"{f'{number}: ' if number > 1 else ''}{status['Name'].strip()} {place}"] = (seconds, *switches)
    return found


class Costs:
    """Of one server under one load, a list with one value a round."""

    def __init__(self) -> None:
        self.loads: list[LoadResult] = []
        self.by_thread: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)

    def measure(self, server: RunningServer, target: Target, rate: float, seconds: float) -> None:
        """One round at `rate` calls a second, or for 0 of one call at a time; warms up first."""
        for duration in (0.2, seconds):
            before = thread_counts(server.pid)
            if rate:
                load = client_process.open_loop(
                    target.port, target.request, rate=rate, seconds=duration, connections=CONNECTIONS
                )
                calls = rate * duration
            else:
                calls = round((self.loads[-1].calls_per_second if self.loads else 1500) * duration)
                load = client_process.saturate(
                    target.port, target.request, Concurrency(1, 1), calls=calls, answer_bytes=target.answer_bytes
                )
            after = thread_counts(server.pid)
        self.loads.append(load)
        for name, figures in after.items():
            seconds_spent, *switches = (
                (new - old) / calls for new, old in zip(figures, before.get(name, (0, 0, 0)), strict=True)
            )
            self.by_thread[name].append((seconds_spent * 1e6, switches[0], switches[1]))

    def rows(self, name: str, load: str) -> list[list[str]]:
        """The server as a whole, then each of its threads that matters."""
        medians = {
            thread: [statistics.median(column) for column in zip(*rounds, strict=True)]
            for thread, rounds in self.by_thread.items()
        }
        total = [sum(column) for column in zip(*medians.values(), strict=True)]
        latency = [
            microseconds(statistics.median(getattr(each, figure) for each in self.loads))
            for figure in ("p50_us", "p99_us")
        ]
        rows = [[f"**{name}**", load, *latency, *_cells(total)]]
        for thread, figures in sorted(medians.items(), key=lambda item: -item[1][0]):
            if figures[0] >= SMALL * total[0]:
                rows.append([f"its thread `{thread}`", load, "", "", *_cells(figures)])
        return rows


def _cells(figures: list[float]) -> list[str]:
    return [microseconds(figures[0]), f"{figures[1]:.2f}", f"{figures[2]:.2f}"]


def measure(front: str, rounds: int, seconds: float) -> Table:
    """Service and bare echo on one front, free to use every core while the client has the last one to itself."""
    request = infer(1)
    recorded = digits_server.record([request], digits_server.CACHE / f"{front}-call-answers.json")
    commands = {"digits": digits_server.digits(front), "bare echo": digits_server.echo(front, recorded)}
    costs: defaultdict[tuple[str, str], Costs] = defaultdict(Costs)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(run_server(command, request, digits_server.LOGS))
            for name, command in commands.items()
        }
        targets = {name: Target.check(server, request) for name, server in servers.items()}
        first = targets["digits"]
        for calls in (2_000, 10_000):
            half = (
                0.5
                * client_process.saturate(
                    first.port, first.request, BUSY, calls=calls, answer_bytes=first.answer_bytes
                ).calls_per_second
            )
        loads = {"alone": 0.0, f"{count(half)} calls/s": half}
        for _ in range(rounds):
            for load, rate in loads.items():
                for name, server in servers.items():
                    costs[name, load].measure(server, targets[name], rate, seconds)
    columns = ["", "load", "p50", "p99", "CPU a call", "wake-ups a call", "preemptions a call"]
    table = Table(f"{front} front: one image a call, one at a time and at half the saturated rate", columns)
    for (name, load), cost in costs.items():
        table.rows += cost.rows(name, load)
    return table


def main() -> None:
    """Measure each front and print Markdown."""
    parser = argparse.ArgumentParser(prog="make bench-call")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of load, for each figure in each round")
    parser.add_argument("--front", choices=digits_server.fronts(), action="append", help="default: all there are")
    chosen = parser.parse_args()
    end_on_sigterm()
    machine_load = MachineLoad()
    for front in chosen.front or digits_server.fronts():
        print(measure(front, chosen.rounds, chosen.seconds).markdown())
    print(note(machine_load.share()), setting())


if __name__ == "__main__":
    main()
