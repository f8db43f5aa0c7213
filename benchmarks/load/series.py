"""Results by target and round, with their medians and the medians of ratios within a round."""

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.load.client_process import Concurrency, LoadResult


@dataclass(frozen=True)
class Key:
    """One thing measured again in every round."""

    server: str
    images: int
    """A call's."""
    shape: Concurrency


@dataclass
class Series:
    """Loads by what was measured; each list holds one load a round."""

    loads: dict[Key, list[LoadResult]] = field(default_factory=dict)
    failures: dict[Key, str] = field(default_factory=dict)
    """Failed targets with their errors; their earlier rounds do not count."""

    def add(self, key: Key, load: LoadResult) -> None:
        """The load of the next round."""
        self.loads.setdefault(key, []).append(load)

    def fail(self, key: Key, reason: str) -> None:
        """Leave `key` out from now on."""
        self.failures[key] = reason
        self.loads.pop(key, None)

    def servers(self) -> list[str]:
        """Those measured, in the order they came."""
        return list(dict.fromkeys(key.server for key in self.loads))

    def median(self, key: Key, figure: str = "calls_per_second") -> float:
        """The median over the rounds of one field of `LoadResult`."""
        return statistics.median(getattr(load, figure) for load in self.loads[key])

    def best(self, server: str, images: int, shapes: Iterable[Concurrency] | None = None) -> Key | None:
        """The key at which this server's median rate is greatest; None where nothing was measured."""
        keys = [
            key
            for key in self.loads
            if (key.server, key.images) == (server, images) and (shapes is None or key.shape in shapes)
        ]
        return max(keys, key=self.median, default=None)

    def ratio(self, key: Key, other: Key, figure: str = "calls_per_second") -> float:
        """The median over the rounds of the ratio of one field of `key` to that of `other` in the same round."""
        return statistics.median(
            getattr(mine, figure) / getattr(theirs, figure)
            for mine, theirs in zip(self.loads[key], self.loads[other], strict=True)
        )

    def as_json(self) -> list[dict[str, Any]]:
        """Every round of everything, and what was left out."""
        named = [(key, {"rounds": [asdict(load) for load in loads]}) for key, loads in self.loads.items()]
        named += [(key, {"left_out": reason}) for key, reason in self.failures.items()]
        return [
            {"server": key.server, "images": key.images, "in_flight": str(key.shape), **rest} for key, rest in named
        ]
