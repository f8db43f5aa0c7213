"""What others take of the machine is told from what the benchmark takes itself."""

import os
import subprocess
import sys

from benchmarks.servers.machine_load import MachineLoad, busy_seconds

WORK = """
import time
while time.process_time() < 2:
    pass
print(flush=True)
input()
"""


def test_busy_seconds_are_those_of_processes():
    """User, nice and system; neither idle time nor waiting for disks."""
    ticks = os.sysconf("SC_CLK_TCK")
    assert busy_seconds(f"cpu  {ticks} {2 * ticks} {3 * ticks} 999999 999999 0 0 0 0 0\ncpu0 1 1 1 1\n") == 6


def test_a_process_of_ours_does_not_count_once_it_ended():
    """Two seconds of work stand with the others' while a child of ours runs, and no longer when it was waited for."""
    child = subprocess.Popen([sys.executable, "-c", WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    machine_load = MachineLoad()
    child.communicate(b"\n")
    assert machine_load._count() - machine_load._others < -1
    assert machine_load.share() == 0
