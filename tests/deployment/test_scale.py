"""Several containers behind the one address."""

import os
import signal
import time

import pytest

from tests.deployment.load import Load
from tests.deployment.stack import docker, inspect, until

pytestmark = pytest.mark.extra("docker")


def test_three_behind_one_address_one_killed_one_stopped(start_stack):
    """Clients with retries lose nothing, each container takes its share, and the one that was killed comes back."""
    stack = start_stack("scale", "--scale", "digits=3", CPUS="1")
    containers = stack.containers("digits")
    assert len(containers) == 3

    def taken() -> dict[str, float]:
        return {each: stack.calls_of(each) for each in stack.containers("digits")}

    def shares(begin: dict[str, float], title: str, seconds: float = 4) -> dict[str, float]:
        time.sleep(seconds)
        new = {each: calls - begin.get(each, 0) for each, calls in taken().items()}
        print(f"{title}: " + ", ".join(f"{each[:6]} {calls / sum(new.values()):.0%}" for each, calls in new.items()))
        return {each: calls / sum(new.values()) for each, calls in new.items()}

    until(lambda: all(stack.address_of(each) for each in containers), "all have an address")
    with Load(stack.address, 8) as load:
        until(lambda: all(taken().values()), "all are called")
        print()
        assert min(shares(taken(), "three").values()) > 0.2

        os.kill(inspect(containers[0])["State"]["Pid"], signal.SIGKILL)  # as when it runs out of memory
        until(lambda: inspect(containers[0])["RestartCount"] == 1, "Docker has started it again")
        until(lambda: stack.calls_of(containers[0]) > 0, "it is called again")
        assert min(shares(taken(), "one was killed and is back").values()) > 0.2

        docker("stop", "-t", "20", containers[1])
        assert inspect(containers[1])["State"]["ExitCode"] == 0
        assert min(shares(taken(), "one was stopped").values()) > 0.3
        docker("kill", containers[2])
        assert shares(taken(), "another was killed for good", 2) == {containers[0]: 1.0}
    print(f"{load.answered} calls answered, {len(load.failed)} failed")
    assert load.failed == []
    assert load.answered > 1000
