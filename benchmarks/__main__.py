"""`make bench`: the service beside its baselines, in one run."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from benchmarks.report.picture import draw
from benchmarks.report.tables import document, setting
from benchmarks.report.transport_tables import tables
from benchmarks.servers import digits_server
from benchmarks.servers.machine_load import MachineLoad, note
from benchmarks.servers.process import end_on_sigterm
from benchmarks.transport import measure_transport

OUT = Path(__file__).parent / "results"

console = Console()


def main() -> None:
    """Measure every front there is, print, and write `results.md`, `results.json` and `results.png`."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of load, for each figure in each round")
    parser.add_argument("--front", choices=digits_server.fronts(), action="append", help="default: all there are")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for what is written")
    chosen = parser.parse_args()
    end_on_sigterm()
    for missing in digits_server.missing_tools():
        console.print(missing, style="yellow")

    machine_load = MachineLoad()
    outcomes = []
    for front in chosen.front or digits_server.fronts():

        def say(progress: str, front: str = front) -> None:
            console.print(f"{front} front: {progress}", style="dim", highlight=False)

        outcomes.append(measure_transport(front, chosen.rounds, chosen.seconds, say))
    shown = [table for outcome in outcomes for table in tables(outcome)]
    for table in shown:
        table.show(console)
    busy = note(machine_load.share())
    console.print(busy)
    fronts = {outcome.front: outcome.as_json() for outcome in outcomes}
    as_json = {"setting": f"{setting()} {busy}", "fronts": fronts}
    (chosen.out / "results.json").write_text(json.dumps(as_json, indent=1) + "\n")
    draw(outcomes, chosen.out / "results.png")
    picture = "![Calls a second, latency at fixed rates, and images a second in batches](results.png)"
    (chosen.out / "results.md").write_text(document("Last results", "make bench", shown, picture, busy))
    console.print(f"written to {chosen.out}")


if __name__ == "__main__":
    main()
