"""Starting workers again, their share of the cores, and those that hang."""

import asyncio
import sys

import pytest

from engine.cpus import SHARE, usable_cores
from service.config import Settings
from service.workers.handle import Worker
from service.workers.supervisor import Backoff
from tests.unit.service.workers.ipc_pair import nothing


def test_pauses_before_a_restart_grow_until_a_worker_has_run_for_long():
    """None, then half a second, doubled up to a limit."""
    backoff = Backoff()
    assert [backoff.seconds(ran=1.0) for _ in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert [backoff.seconds(ran=1.0) for _ in range(20)][-1] == 30.0
    assert [backoff.seconds(ran=100.0), backoff.seconds(ran=1.0)] == [0.0, 0.5]


def test_a_worker_counts_its_share_as_the_cores(monkeypatch: pytest.MonkeyPatch):
    """So that threads of all workers together do not outnumber them."""
    monkeypatch.setenv(SHARE, "3")
    assert usable_cores() == 3


async def test_a_worker_that_does_not_answer_is_killed(monkeypatch: pytest.MonkeyPatch):
    """It runs, and others would wait for it for ever."""
    monkeypatch.setattr("service.workers.handle.CHECK_SECONDS", 0.01)
    monkeypatch.setattr("service.workers.handle.HUNG_SECONDS", 0.2)

    class Sleeper:
        def command(self, settings: Settings) -> tuple[list[str], dict[str, str], None]:
            return [sys.executable, "-c", "import time; time.sleep(60)"], {}, None

    worker = await Worker.start(1, Sleeper(), Settings(), 1, nothing)
    await asyncio.wait_for(worker.watch(), 10)
    assert (await asyncio.wait_for(worker.wait(), 10))["signal"] == "SIGKILL"
