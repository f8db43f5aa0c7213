"""The page of `make bench-peers`: for each machine the tables of its rounds."""

import statistics
from collections.abc import Sequence

from benchmarks.peers.entries import TRITON
from benchmarks.peers.results import Key, MachineResults, ServerResult
from benchmarks.report.tables import Table, count, microseconds, times

ALONE = "1×1"
NONE = "–"
OURS = "digits, "


def page(machines: Sequence[MachineResults]) -> str:
    """Markdown: the summary of all machines, then the tables of each."""
    lines = ["# Beside other model servers", "", "Written by `make bench-peers`; how it is measured stands in"]
    lines += ["[README.md](../README.md).", "", summary(machines).markdown()]
    for machine in machines:
        lines += [f"# {machine.machine}", "", *(table.markdown() for table in tables(machine)), _conditions(machine)]
    return "\n".join(lines).rstrip() + "\n"


def tables(results: MachineResults) -> list[Table]:
    """All tables of one machine; those of which nothing was measured are left out."""
    made = [
        _saturated(results, "saturated", "Saturated"),
        _rates(results),
        _alone(results),
        _saturated(results, "rest", "Over REST, saturated (HTTP/1.1, binary tensors)"),
        _saturated(results, "large", "mnist-large, saturated"),
    ]
    left_out = [f"Left out: {name}. {reason.splitlines()[0]}" for name, reason in results.left_out.items() if reason]
    made[0].notes += ["In parentheses connections × calls in flight on each, where this server did best.", *left_out]
    return [table for table in made if table.rows]


def summary(machines: Sequence[MachineResults]) -> Table:
    """The worst and the best ratio to Triton of each of our servers, over calls of all sizes, on each machine."""
    title = "Times Triton's rate: the worst and the best of all sizes of calls"
    table = Table(title, ["", "processor", "worst", "best"])
    for machine in machines:
        for server in machine.server_names("saturated"):
            if not server.startswith(OURS):
                continue
            found = {
                f"{'calls of ' if rows > 1 else ''}{rows:,} image{'s' * (rows > 1)}": ratio
                for rows in _sizes(machine, "saturated")
                if (ratio := _ratio(machine, "saturated", server, rows)) is not None
            }
            if found:
                worst, best = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
                cells = [f"{times(found[name])} ({name})" for name in (worst, best)]
                table.rows.append([server, machine.machine, *cells])
    return table


def _saturated(results: MachineResults, part: str, title: str) -> Table:
    sizes = _sizes(results, part)
    columns = ["", "processes"]
    for rows in sizes:
        columns += ["calls/s, one image" if rows == 1 else f"images/s, calls of {rows:,}", "× Triton"]
    table = Table(f"{title}, servers may use every core, the client has the last one to itself", columns)
    for server in results.server_names(part):
        cells = [server, _processes(results, server)]
        for rows in sizes:
            best = results.best(part, server, rows)
            ratio = _ratio(results, part, server, rows)
            cells.append(f"{count(results.median(best) * rows)} ({best[3]})" if best else NONE)
            cells.append(times(ratio) if ratio is not None else NONE)
        table.rows.append(cells)
    if table.rows and all((part, rows) in results.floors for rows in sizes):
        cells = ["onnxruntime alone, one thread, no server", "1"]
        for rows in sizes:
            floor, other = statistics.median(results.floors[part, rows]), results.best(part, TRITON, rows)
            cells += [count(floor), times(floor / (results.median(other) * rows)) if other else NONE]
        table.rows.append(cells)
    return table


def _rates(results: MachineResults) -> Table:
    columns = ["", "processes", "calls/s", "p50", "× Triton", "p99", "× Triton", "p99.9", "× Triton"]
    table = Table("Fixed rates, one image a call, open loop", columns)
    keys = [key for key in results.loads if key[0] == "rates"]
    for load in sorted({key[3] for key in keys}, key=_rate):
        for key in (key for key in keys if key[3] == load):
            cells = [key[1], _processes(results, key[1]), load.removesuffix("/s")]
            for figure in ("p50_us", "p99_us", "p999_us"):
                ratio = results.ratio(key, ("rates", TRITON, 1, load), figure)
                cells += [microseconds(results.median(key, figure)), times(ratio) if ratio is not None else NONE]
            table.rows.append(cells)
    table.notes.append("A server that does not reach a rate when it is saturated has no row at that rate.")
    return table


def _alone(results: MachineResults) -> Table:
    columns = ["", "processes", "p50", "p99", "start to first right answer"]
    columns += ["private, ready", "private, after the load", "PSS, ready", "PSS, after the load"]
    table = Table("One call at a time, start and memory", columns)
    for server in results.server_names("saturated"):
        key: Key = ("saturated", server, 1, ALONE)
        latency = [
            microseconds(results.median(key, figure)) if key in results.loads else NONE
            for figure in ("p50_us", "p99_us")
        ]
        starts = results.servers.get(server, [])
        ready = f"{statistics.median(each.ready_seconds for each in starts):.2f} s" if starts else NONE
        memory = [_memory(starts, field) for field in ("private_mb", "private_after_mb", "pss_mb", "pss_after_mb")]
        table.rows.append([server, _processes(results, server), *latency, ready, *memory])
    table.notes.append(
        "All processes of a server together. Private: pages that no other process maps; PSS counts of the others each "
        "process's share."
    )
    return table


def _memory(starts: list[ServerResult], field: str) -> str:
    known = [value for each in starts if (value := getattr(each, field))]
    return f"{statistics.median(known):.0f} MiB" if known else NONE


def _processes(results: MachineResults, server: str) -> str:
    starts = results.servers.get(server)
    return str(starts[-1].processes) if starts and starts[-1].processes else NONE


def _sizes(results: MachineResults, part: str) -> list[int]:
    return sorted({rows for measured, _, rows, _ in results.loads if measured == part})


def _ratio(results: MachineResults, part: str, server: str, rows: int) -> float | None:
    return results.ratio(results.best(part, server, rows), results.best(part, TRITON, rows))


def _rate(load: str) -> int:
    return int(load.removesuffix("/s").replace(",", ""))


def _conditions(results: MachineResults) -> str:
    if not results.others:
        return f"{results.setting}\n"
    least, most = min(results.others), max(results.others)
    share = f"{least:.0%}" if least == most else f"{least:.0%} to {most:.0%}"
    return f"{results.setting} Meanwhile other processes took {share} of the machine.\n"
