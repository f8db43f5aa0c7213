"""The workers as one: changes that reach all of them, and sums of what they counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.workers.ipc import IpcConnection
from service.workers.pool import WorkerPool
from tests.unit.service.workers.ipc_pair import connected, nothing


class Pretender:
    """A worker as the pool sees it: what it was told to run, and what it has counted."""

    def __init__(self, error: list[str] | None = None) -> None:
        self.ran: list[str] = []
        self.snapshot: dict[str, Any] = {}
        self.error = error

    async def answer(self, what: str, content: dict[str, Any]) -> dict[str, Any]:
        if what == "snapshot":
            return self.snapshot
        self.ran.append(f"{content['path']} {content['request']}")
        return {"response": "done"} if self.error is None else {"error": self.error}


@asynccontextmanager
async def joined_to(pool: WorkerPool, number: int, worker: Pretender) -> AsyncIterator[IpcConnection]:
    async with connected(nothing, worker.answer) as (channel, _):
        await pool.join(number, channel)
        yield channel
        pool.leave(number)


async def test_only_changes_in_effect_are_repeated_for_a_worker_that_comes_later():
    """The last about each thing; one that takes all of a kind back takes back each of it."""
    pool, first, second = WorkerPool(), Pretender(), Pretender()
    async with joined_to(pool, 1, first):
        await pool.change("unload", "a", ["model", "a"], replay=True)
        await pool.change("unload", "ab", ["model", "ab"], replay=True)
        await pool.change("load", "a", ["model", "a"], replay=False)
        await pool.change("register", "x", ["memory", "x"], replay=True)
        await pool.change("register", "y", ["memory", "y"], replay=True)
        await pool.change("unregister", "", ["memory"], replay=False)
        await pool.change("register", "z", ["memory", "z"], replay=True)
        async with joined_to(pool, 2, second):
            assert second.ran == ["unload ab", "register z"]
            assert await pool.change("load", "ab", ["model", "ab"], replay=False) == {"response": "done"}
            assert first.ran[-1] == second.ran[-1] == "load ab"


async def test_the_error_of_any_worker_is_the_error_of_the_change_and_it_is_not_kept():
    """Those that could are left as they are."""
    pool, third = WorkerPool(), Pretender()
    async with joined_to(pool, 1, Pretender()), joined_to(pool, 2, Pretender(["NotAllowed", "no"])):
        assert await pool.change("unload", "a", ["model", "a"], replay=True) == {"error": ["NotAllowed", "no"]}
        async with joined_to(pool, 3, third):
            assert third.ran == []


async def test_a_worker_that_dies_during_a_change_is_no_hindrance():
    """The others made the change, and the worker that replaces it gets the change."""
    pool, successor = WorkerPool(), Pretender()

    async def die(what: str, content: dict[str, Any]) -> None:
        dying.close()
        await asyncio.sleep(60)

    async with joined_to(pool, 1, Pretender()), connected(nothing, die) as (channel, dying):
        await pool.join(2, channel)
        assert await pool.change("unload", "a", ["model", "a"], replay=True) == {"response": "done"}
        pool.leave(2)
        async with joined_to(pool, 2, successor):
            assert successor.ran == ["unload a"]


def counted(calls: int, last_ms: int, rows: int, queued: int) -> dict[str, Any]:
    """A snapshot of version 1 of model a."""
    return {
        "statistics": [[["a", "1"], {"success": {"count": calls}}]],
        "last_inference_ms": [[["a", "1"], last_ms]],
        "digits_rows_total": [[["a", "1"], rows]],
        "digits_queue_rows": [[["a", "1"], queued]],
    }


async def test_what_a_worker_counted_stays_counted_when_it_is_gone():
    """Sums never go backwards; what is of the moment goes with it."""
    pool, first, second = WorkerPool(), Pretender(), Pretender()
    first.snapshot = counted(calls=3, last_ms=70, rows=7, queued=5)
    second.snapshot = counted(calls=4, last_ms=60, rows=1, queued=2)
    async with joined_to(pool, 2, second):
        async with joined_to(pool, 1, first):
            assert await pool.totals() == counted(calls=7, last_ms=70, rows=8, queued=7)
        assert await pool.totals() == counted(calls=7, last_ms=70, rows=8, queued=2)
        await pool.change("unload", "", ["model", "a"], replay=True)
        assert await pool.totals() == counted(calls=7, last_ms=70, rows=8, queued=2)
    assert (await pool.totals()).keys() == counted(0, 0, 0, 0).keys() - {"digits_queue_rows"}


async def test_a_worker_that_does_not_answer_is_counted_by_what_it_told_last(monkeypatch: pytest.MonkeyPatch):
    """Statistics wait a short time for each worker."""
    monkeypatch.setattr("service.workers.pool.SNAPSHOT_SECONDS", 0.05)
    pool = WorkerPool()

    async def hang(what: str, content: dict[str, Any]) -> None:
        await asyncio.sleep(60)

    async with connected(nothing, hang) as (channel, _):
        await pool.join(1, channel)
        pool.counted(1, counted(calls=5, last_ms=1, rows=5, queued=0))
        assert await pool.totals() == counted(calls=5, last_ms=1, rows=5, queued=0)
