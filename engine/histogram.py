"""Histograms of times in plain integers: they cost the hot path a search in 19 numbers."""

from bisect import bisect_left
from dataclasses import dataclass, field

TIME_BOUNDS_NS = (
    *(round(factor * 10**power) for power in range(4, 10) for factor in (1, 2.5, 5)),
    10**10,
)
"""Upper bounds of the buckets, nanoseconds: 10 µs, 25 µs, 50 µs, … 10 s; one more bucket holds longer times."""


def _none() -> list[int]:
    return [0] * (len(TIME_BOUNDS_NS) + 1)


@dataclass(slots=True)
class Histogram:
    """Counts of events by their time."""

    counts: list[int] = field(default_factory=_none)
    """By bucket, not cumulative."""
    ns: int = 0
    """Total time, nanoseconds."""

    def add(self, ns: int) -> None:
        """Count an event that took `ns` nanoseconds."""
        self.counts[bisect_left(TIME_BOUNDS_NS, ns)] += 1
        self.ns += ns

    @property
    def count(self) -> int:
        """Number of events."""
        return sum(self.counts)
