"""One asyncio client on several event loops, one after the other and at once."""

import asyncio
import gc
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import grpc.aio
import numpy as np
import pytest
from digits_client import AsyncDigitsClient, ClientClosed

IMAGE = np.arange(12, dtype=np.uint8).reshape(4, 3)


def open_channels() -> int:
    gc.collect()
    return sum(isinstance(each, grpc.aio.Channel) for each in gc.get_objects())


async def everything(client: AsyncDigitsClient) -> list[int]:
    """Calls, calls at once and a stream."""
    together = await asyncio.gather(*(client.classify(IMAGE) for _ in range(3)))
    streamed = [each async for each in client.classify_stream([IMAGE])]
    await client.models()
    return [each.digit for each in (*together, *streamed)]


@pytest.mark.parametrize("coalesce", [False, True])
def test_several_runs_of_asyncio(faulty, coalesce: bool):
    """Each is answered, without a warning, and the channels of those that ended are not kept."""
    before = open_channels()
    client = AsyncDigitsClient(faulty.target, coalesce=coalesce, channels=2)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(5):
            assert asyncio.run(everything(client)) == [0, 0, 0, 0]
        assert open_channels() == before + 2
        asyncio.run(client.close())
    assert open_channels() == before
    assert not [each for each in warned if "awaited" in str(each.message)]


def test_a_loop_that_is_run_again_keeps_its_channels(faulty):
    """Between `run_until_complete` and the next nothing ends."""
    before = open_channels()
    client = AsyncDigitsClient(faulty.target)
    with asyncio.Runner() as runner:
        for _ in range(3):
            assert runner.run(everything(client)) == [0, 0, 0, 0]
            assert open_channels() == before + 1
        runner.run(client.close())


def test_loops_of_several_threads_at_once(faulty):
    """They share the client, and what it knows of the models."""
    client = AsyncDigitsClient(faulty.target, coalesce=True)
    all_open = threading.Barrier(4)

    async def meet() -> list[int]:
        await client.classify(IMAGE)
        all_open.wait(30)  # each loop has channels before any ends
        return await everything(client)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: asyncio.run(meet()), range(4)))
    assert found == [[0, 0, 0, 0]] * 4
    asyncio.run(client.close())


def test_closing_ends_the_calls_of_other_loops(faulty):
    """A call of another thread's loop gets the error of its situation, not a cancellation."""
    client = AsyncDigitsClient(faulty.target, timeout=60)
    begun, go_on = threading.Event(), threading.Event()
    faulty.faults.append(lambda context: (begun.set(), go_on.wait(30)))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: asyncio.run(client.classify(b"file")))
        assert begun.wait(30)
        asyncio.run(client.close())
        try:
            assert isinstance(waiting.exception(30), ClientClosed)
        finally:
            go_on.set()


async def test_a_cancellation_of_the_callers_own_goes_on(faulty):
    """Whether or not the client is closed meanwhile."""
    begun, go_on = threading.Event(), threading.Event()
    faulty.faults += [lambda context: (begun.set(), go_on.wait(30))] * 2
    try:
        for close in (False, True):
            begun.clear()
            client = AsyncDigitsClient(faulty.target, timeout=60)
            task = asyncio.ensure_future(client.classify(b"file"))
            assert await asyncio.to_thread(begun.wait, 30)
            task.cancel()
            if close:
                await client.close()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.close()
    finally:
        go_on.set()
