"""How many cores this process may use."""

import math
import os
from pathlib import Path

# Set for each of several processes on the same cores: its share of them.
SHARE = "SERVICE_CORES"
CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores by the scheduler's affinity and the limit of the container's cgroup, whichever is less; at least 1.

    The variable `SERVICE_CORES` overrides both. `os.cpu_count()` gives the cores of the machine, often far more
    than a container may use.
    """
    if share := os.environ.get(SHARE):
        return int(share)
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(min(cores, _limit(cgroup) or cores), 1)


def _limit(cgroup: Path) -> int | None:
    """Cores that the cgroup, of version 2 or 1, may use: microseconds of CPU time in a period of so many."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((cgroup / name).read_text() for name in names).split()
            return math.ceil(int(quota) / int(period)) if int(quota) > 0 else None
        except (OSError, ValueError):
            continue  # another version, or no limit: "max" in version 2, -1 in version 1
    return None
