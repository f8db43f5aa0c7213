"""A client that was closed: every method says so, by an error of ours."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from digits_client import AsyncDigitsClient, ClientClosed, DigitsClient
from digits_client.inference import InferenceClient, Window

IMAGE = np.arange(12, dtype=np.uint8).reshape(4, 3)
CALLS = {
    "classify": lambda client: client.classify(IMAGE),
    "classify a file": lambda client: client.classify(b"file"),
    "models": lambda client: client.models(),
    "model": lambda client: client.model(),
    "network": lambda client: client.network(),
    "health": lambda client: client.health(),
}


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_calls_of_a_closed_client(faulty, call: str, used: bool):
    """Whether it was used before or not; with `with` a second time as well."""
    with DigitsClient(faulty.target) as client:
        if used:
            client.classify(IMAGE)
    with client, pytest.raises(ClientClosed, match="closed"):
        CALLS[call](client)
    client.close()


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize("call", CALLS)
async def test_calls_of_a_closed_asyncio_client(faulty, call: str, coalesce: bool, used: bool):
    """It opens nothing anew."""
    async with AsyncDigitsClient(faulty.target, coalesce=coalesce) as client:
        if used:
            await client.classify(IMAGE)
    async with client:
        with pytest.raises(ClientClosed, match="closed"):
            await CALLS[call](client)
    await client.close()


async def test_streams_of_a_closed_client(faulty):
    """Those that begin, and those that had begun."""
    client, other = DigitsClient(faulty.target), AsyncDigitsClient(faulty.target)
    begun, begun_other = client.classify_stream(waits(IMAGE)), other.classify_stream(waits_with_asyncio(IMAGE))
    assert (await asyncio.to_thread(next, begun)).digit == 0
    assert (await anext(begun_other)).digit == 0
    client.close()
    await other.close()
    with pytest.raises(ClientClosed):
        await asyncio.to_thread(list, begun)
    with pytest.raises(ClientClosed):
        _ = [each async for each in begun_other]
    with pytest.raises(ClientClosed):
        next(client.classify_stream([IMAGE]))
    with pytest.raises(ClientClosed):
        await anext(other.classify_stream([IMAGE]))


def waits(image):
    """That image, and the next one when nobody waits for it any more."""
    yield image
    threading.Event().wait(5)


async def waits_with_asyncio(image):
    yield image
    await asyncio.sleep(60)


async def test_calls_in_flight(faulty):
    """They end at once, with the same error."""
    begun, go_on = threading.Semaphore(0), threading.Event()
    faulty.faults += [lambda context: (begun.release(), go_on.wait(30))] * 3
    client = DigitsClient(faulty.target, timeout=60)
    others = [AsyncDigitsClient(faulty.target, timeout=60, coalesce=each) for each in (False, True)]
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.classify, b"file")
            tasks = [
                asyncio.ensure_future(others[0].classify(b"file")),
                asyncio.ensure_future(others[1].classify(IMAGE)),
            ]
            for _ in range(3):
                assert await asyncio.to_thread(begun.acquire, timeout=30)
            client.close()
            for other in others:
                await other.close()
            assert isinstance(await asyncio.to_thread(waiting.exception, 30), ClientClosed)
            for task in tasks:
                with pytest.raises(ClientClosed):
                    await asyncio.wait_for(task, 30)
    finally:
        go_on.set()


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.model("", ""),
        lambda client: client.infer("", "", np.zeros((1, 12), np.uint8), 2),
        lambda client: client.infer_shared("", "", (1, 12), 2, Window("r", 0, 0, 0)),
        lambda client: client.register("r", "/r", 1),
        lambda client: client.regions(),
        lambda client: client.unregister("r"),
    ],
)
def test_the_client_of_the_open_inference_protocol(faulty, call):
    """Likewise."""
    with InferenceClient(faulty.target) as client:
        pass
    with pytest.raises(ClientClosed):
        call(client)
