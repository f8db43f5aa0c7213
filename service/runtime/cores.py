"""How many cores this process may use."""

import math
import os
from pathlib import Path

# One of several processes on the same cores is told its share.
SHARE = "SERVICE_CORES"
CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cgroup_limit: Path = CGROUP_LIMIT) -> int:
    """Cores by the scheduler's affinity and the cgroup's limit (cgroup v2), whichever is less; at least 1.

    The variable `SERVICE_CORES` has the last word, where it is set.
    `os.cpu_count()` tells the machine's cores, which in a container is often far more than it may use.
    """
    if share := os.environ.get(SHARE):
        return int(share)
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = cgroup_limit.read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # no cgroup v2 here: the affinity is all there is to know
    return max(cores, 1)
