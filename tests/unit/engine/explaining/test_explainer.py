"""Explanations wait for one another, and not for those who gave up."""

import asyncio
import threading
import time

import pytest

from engine.errors import DeadlinePassed, QueueFull
from engine.explaining.explainer import Explainer, Stop


@pytest.fixture
def explainer():
    made = Explainer()
    yield made
    made.close()


async def test_a_full_queue_refuses(explainer: Explainer):
    """Sixteen wait at most, that in work among them; there is room again once they are done."""
    release = threading.Event()
    tasks = [asyncio.create_task(explainer.run(lambda stop: release.wait(60), None)) for _ in range(16)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="16 explanations are waiting"):
        await explainer.run(lambda stop: 1, None)
    release.set()
    assert await asyncio.gather(*tasks) == [True] * 16
    assert await explainer.run(lambda stop: 1, None) == 1


async def test_who_gave_up_is_not_worked_for(explainer: Explainer):
    """Work in hand is told to stop, and what waits is dropped."""
    began = asyncio.Event()
    loop = asyncio.get_running_loop()
    ended: list[bool] = []
    done = threading.Event()

    def work(stop: Stop) -> None:
        loop.call_soon_threadsafe(began.set)
        while not stop():
            time.sleep(0.001)
        ended.append(True)
        done.set()

    first = asyncio.create_task(explainer.run(work, None))
    second = asyncio.create_task(explainer.run(lambda stop: ended.append(False), None))
    await began.wait()
    second.cancel()
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await asyncio.to_thread(done.wait, 60)
    assert await explainer.run(lambda stop: 3, None) == 3
    assert ended == [True]


async def test_a_deadline_that_has_passed(explainer: Explainer):
    """Is told before the work, and to the work."""
    with pytest.raises(DeadlinePassed, match="while other images were being explained"):
        await explainer.run(lambda stop: 1, time.monotonic() - 1)

    def work(stop: Stop) -> int:
        while not stop():
            time.sleep(0.001)
        return 2

    assert await explainer.run(work, time.monotonic() + 0.5) == 2


async def test_what_work_raises_is_raised(explainer: Explainer):
    """To its caller."""
    with pytest.raises(ZeroDivisionError):
        await explainer.run(lambda stop: 1 // 0, None)
