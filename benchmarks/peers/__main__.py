"""`make bench-peers`: other model servers beside ours, on the same bytes, see `benchmarks.peers.parts`.

A part or a round is short enough for a few quiet minutes. What is measured is added to what the same machine measured
before with the same versions; the medians are of all its rounds.
"""

import argparse
from pathlib import Path

from rich.console import Console

from benchmarks.peers.parts import PARTS, Run
from benchmarks.peers.report import page, tables
from benchmarks.peers.results import ResultsFile
from benchmarks.report.tables import setting
from benchmarks.servers import digits_server
from benchmarks.servers.machine_load import MachineLoad
from benchmarks.servers.process import end_on_sigterm

OUT = Path(__file__).resolve().parents[1] / "results"

console = Console()


def main() -> None:
    """Measure, print, and write `peers.md` and `peers.json`."""
    parser = argparse.ArgumentParser(prog="make bench-peers")
    parser.add_argument("--part", choices=PARTS, action="append", help="default: each in turn")
    parser.add_argument("--rounds", type=int, default=5, help="to add to those that are there; 0: write the page anew")
    parser.add_argument("--seconds", type=float, default=1.0, help="of load, for each figure in each round")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results")
    chosen = parser.parse_args()
    end_on_sigterm()
    for missing in digits_server.missing_tools():
        console.print(missing, style="yellow")

    file = ResultsFile(chosen.out / "peers.json")
    results = file.of(setting())

    def say(progress: str) -> None:
        console.print(progress, style="dim", markup=False, highlight=False)

    for part in chosen.part or PARTS if chosen.rounds else ():
        machine_load = MachineLoad()

        def finished(part: str = part) -> None:
            file.write()
            say(f"{part}: a round done")

        PARTS[part](Run(results, chosen.seconds, say, finished), chosen.rounds)
        results.others.append(round(machine_load.share() or 0.0, 3))
        file.write()
    if results.loads:
        for table in tables(results):
            table.show(console)
    (chosen.out / "peers.md").write_text(page([machine for machine in file.machines if machine.loads]))
    console.print(f"written to {chosen.out}")


if __name__ == "__main__":
    main()
