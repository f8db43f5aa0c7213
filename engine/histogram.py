"""How long things took, as a histogram of plain integers: the hot path pays a search in 19 numbers for it."""

from bisect import bisect_left
from dataclasses import dataclass, field

TIME_BOUNDS_NS = (
    *(round(factor * 10**power) for power in range(4, 10) for factor in (1, 2.5, 5)),
    10**10,
)
"""Upper bounds of the buckets, nanoseconds: 10 µs, 25 µs, 50 µs, … 10 s; one more bucket holds what took longer."""


def _none() -> list[int]:
    return [0] * (len(TIME_BOUNDS_NS) + 1)


@dataclass(slots=True)
class Histogram:
    """How often something took how long."""

    counts: list[int] = field(default_factory=_none)
    """By bucket, not cumulative."""
    ns: int = 0
    """All of them together, nanoseconds."""

    def add(self, ns: int) -> None:
        """It happened once more, and took `ns` nanoseconds."""
        self.counts[bisect_left(TIME_BOUNDS_NS, ns)] += 1
        self.ns += ns

    @property
    def count(self) -> int:
        """How often it happened."""
        return sum(self.counts)
