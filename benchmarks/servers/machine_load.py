"""CPU share of other processes during a measurement, for a note beside the results."""

import os
import resource
import time
from pathlib import Path

STAT = Path("/proc/stat")


def busy_seconds(stat: str) -> float:
    """Processor seconds of all processes since the machine started, by the first line of /proc/stat."""
    user, nice, system = map(int, stat.split(maxsplit=4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


class MachineLoad:
    """Measures from its creation on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._others = self._count()

    def share(self) -> float | None:
        """CPU share of other processes since then, 0..1; None where /proc/stat is missing.

        Child processes of this one are excluded once they have ended.
        """
        others = self._count()
        if others is None or self._others is None:
            return None
        cores = os.cpu_count() or 1
        return max(0.0, (others - self._others) / (time.monotonic() - self._began) / cores)

    @staticmethod
    def _count() -> float | None:
        if not STAT.exists():
            return None
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return busy_seconds(STAT.read_text()) - sum(each.ru_utime + each.ru_stime for each in used)


def note(share: float | None) -> str:
    """The note for a page of results."""
    return "" if share is None else f"Meanwhile other processes took {share:.0%} of the machine."
