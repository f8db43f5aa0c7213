"""The results of `make bench-peers`: of each machine all rounds that it ever measured, in one file."""

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load.client_process import LoadResult

Key = tuple[str, str, int, str]
"""Part, server, images a call, and the load: `8×64` in flight, `4,000/s` in an open loop."""


@dataclass
class ServerResult:
    """How a server started, and what it held: once ready, and after the last round."""

    ready_seconds: float
    processes: int
    private_mb: float
    pss_mb: float
    private_after_mb: float = 0.0
    pss_after_mb: float = 0.0


@dataclass
class MachineResults:
    """Everything that one machine measured, with one set of versions."""

    setting: str
    loads: dict[Key, dict[int, LoadResult]] = field(default_factory=dict)
    """By round: a ratio is of the same one."""
    servers: dict[str, list[ServerResult]] = field(default_factory=dict)
    """One for each start."""
    floors: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    """onnxruntime alone, images a second, by part and images in a run."""
    others: list[float] = field(default_factory=list)
    """Share of the machine that other processes took, for each round."""
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def machine(self) -> str:
        """The processor, without the date and the versions."""
        return self.setting.split(", ")[1]

    def next_round(self) -> int:
        """A number that no round has yet."""
        return 1 + max((number for rounds in self.loads.values() for number in rounds), default=0)

    def median(self, key: Key, figure: str = "calls_per_second") -> float:
        """Over the rounds."""
        return statistics.median(getattr(each, figure) for each in self.loads[key].values())

    def best(self, part: str, server: str, images: int) -> Key | None:
        """The load at which the median rate of a server is greatest; None where nothing was measured."""
        keys = [key for key in self.loads if key[:3] == (part, server, images)]
        return max(keys, key=self.median, default=None)

    def ratio(self, key: Key | None, other: Key | None, figure: str = "calls_per_second") -> float | None:
        """The median over common rounds of the ratio of a figure of `key` to that of `other`; None without any."""
        if key is None or other is None:
            return None
        mine, theirs = self.loads.get(key, {}), self.loads.get(other, {})
        ratios = [getattr(mine[number], figure) / getattr(theirs[number], figure) for number in mine.keys() & theirs]
        return statistics.median(ratios) if ratios else None

    def server_names(self, part: str) -> list[str]:
        """Those measured, in the order they came."""
        return list(dict.fromkeys(server for measured, server, _, _ in self.loads if measured == part))


class ResultsFile:
    """`peers.json`, written again after each round, so that a run that is cut short loses one round at most."""

    def __init__(self, path: Path) -> None:
        self._path = path
        content = json.loads(path.read_text()) if path.is_file() else []
        self.machines = [_read(each) for each in content]

    def of(self, setting: str) -> MachineResults:
        """The results that a run goes on with: of the same processor, versions and client, on whatever day."""
        found = next((each for each in self.machines if _undated(each.setting) == _undated(setting)), None)
        if found is None:
            found = MachineResults(setting)
            self.machines.insert(0, found)
        found.setting = setting
        return found

    def write(self) -> None:
        """Replace the file."""
        lines = ",\n".join(json.dumps(_written(each), ensure_ascii=False) for each in self.machines)
        aside = self._path.with_suffix(".new")
        aside.write_text(f"[\n{lines}\n]\n")
        aside.replace(self._path)


def _undated(setting: str) -> str:
    return setting.partition(", ")[2]


def _written(machine: MachineResults) -> dict[str, Any]:
    loads = [
        {"key": key, "rounds": {number: _rounded(asdict(load)) for number, load in rounds.items()}}
        for key, rounds in machine.loads.items()
    ]
    servers = {name: [_rounded(asdict(each)) for each in starts] for name, starts in machine.servers.items()}
    floors = [[part, images, rates] for (part, images), rates in machine.floors.items()]
    rest = {"others": machine.others, "left_out": machine.left_out}
    return {"setting": machine.setting, "servers": servers, "floors": floors, **rest, "loads": loads}


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 2) for name, value in figures.items()}


def _read(content: dict[str, Any]) -> MachineResults:
    return MachineResults(
        content["setting"],
        {
            tuple(each["key"]): {int(number): LoadResult(**load) for number, load in each["rounds"].items()}
            for each in content["loads"]
        },
        {name: [ServerResult(**each) for each in starts] for name, starts in content["servers"].items()},
        {(part, images): rates for part, images, rates in content["floors"]},
        content["others"],
        content["left_out"],
    )
