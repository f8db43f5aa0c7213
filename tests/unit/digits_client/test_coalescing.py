"""Concurrent calls of the asyncio client travel together without being mixed up."""

import asyncio
from collections.abc import Callable

import grpc
import numpy as np
import pytest
from digits_client import AsyncDigitsClient, DeadlineExceeded, InvalidInput, ServerError

from tests.unit.digits_client.conftest import HELD_SECONDS


def image(first: int) -> np.ndarray:
    """A 4×3 image whose first pixel is `first`."""
    pixels = np.zeros((4, 3), np.uint8)
    pixels[0, 0] = first
    return pixels


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000 * HELD_SECONDS):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come about")


async def test_one_turn_one_call(faulty):
    """Images classified in the same turn go out as one call and each caller gets its own result."""
    async with AsyncDigitsClient(faulty.target, coalesce=True) as client:
        results = await asyncio.gather(*(client.classify(image(i)) for i in range(6)))
        assert [result.digit for result in results] == list(range(6))
    assert len(faulty.requests) == 1


async def test_without_it_each_goes_alone(faulty):
    """Coalescing happens only when asked for."""
    async with AsyncDigitsClient(faulty.target) as client:
        await asyncio.gather(*(client.classify(image(i)) for i in range(6)))
    assert len(faulty.requests) == 6


async def test_no_more_than_a_call_may_carry(faulty):
    """Of many images no call carries more than the server's max_rows, eight."""
    async with AsyncDigitsClient(faulty.target, coalesce=True) as client:
        results = await asyncio.gather(*(client.classify(image(i % 10)) for i in range(30)))
    assert [result.digit for result in results] == [i % 10 for i in range(30)]
    assert sorted(len(request.pixels) // 12 for request in faulty.requests) == [6, 8, 8, 8]


async def test_different_kinds_stay_apart(faulty):
    """Calls with activations do not join those without."""
    async with AsyncDigitsClient(faulty.target, coalesce=True) as client:
        plain, full = await asyncio.gather(client.classify(image(1)), client.classify(image(2), activations=True))
    assert plain.activations is None
    assert full.activations["pixels"][0] == 2
    assert len(faulty.requests) == 2


async def test_different_coverages_stay_apart(faulty):
    """Those that ask for the same go together."""
    async with AsyncDigitsClient(faulty.target, coalesce=True) as client:
        await asyncio.gather(*(client.classify(image(i), coverage=wanted) for i, wanted in enumerate((0.9, None, 0.9))))
    assert sorted((request.coverage, len(request.pixels)) for request in faulty.requests) == [(0, 12), (0.9, 24)]


async def test_a_bad_image_fails_alone(faulty):
    """What the server refuses is sent again one by one: only the bad one gets the error."""
    async with AsyncDigitsClient(faulty.target, coalesce=True) as client:
        results = await asyncio.gather(*(client.classify(image(i)) for i in (1, 13, 2)), return_exceptions=True)
    assert [results[0].digit, results[2].digit] == [1, 2]
    assert isinstance(results[1], InvalidInput)
    assert results[1].violations == (("pixels", "thirteen"),)


async def test_an_image_that_does_not_fit_never_leaves(faulty):
    """An array of the wrong shape fails before it could harm those it would have joined."""
    async with AsyncDigitsClient(faulty.target, coalesce=True) as client:
        good, bad = await asyncio.gather(
            client.classify(image(5)), client.classify(np.zeros((8, 3), np.uint8)), return_exceptions=True
        )
    assert good.digit == 5
    assert isinstance(bad, ValueError)
    assert len(faulty.requests) == 1


async def test_a_failed_call_fails_for_all(faulty):
    """When the call itself fails, each caller gets an error of its own with gRPC's as the cause."""
    faulty.fail_with(grpc.StatusCode.INTERNAL)
    async with AsyncDigitsClient(faulty.target, coalesce=True) as client:
        first, second = await asyncio.gather(*(client.classify(image(i)) for i in (1, 2)), return_exceptions=True)
    assert isinstance(first, ServerError)
    assert isinstance(second, ServerError)
    assert first is not second
    assert isinstance(second.__cause__, grpc.RpcError)


async def test_who_gives_up_harms_nobody(faulty):
    """A caller that is cancelled while its image travels leaves the others their results."""
    held = faulty.hold()
    async with AsyncDigitsClient(faulty.target, coalesce=True, timeout=HELD_SECONDS) as client:
        tasks = [asyncio.create_task(client.classify(image(i))) for i in (1, 2)]
        await until(lambda: bool(faulty.requests))
        tasks[0].cancel()
        held.set()
        assert (await tasks[1]).digit == 2
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]


async def test_the_hasty_do_not_spoil_the_listing(faulty):
    """The listing that concurrent callers share outlives the one who asked first and gave up."""
    held = faulty.hold_listing()
    async with AsyncDigitsClient(faulty.target, timeout=HELD_SECONDS) as client:
        hasty = asyncio.create_task(client.classify(image(1), timeout=0.05))
        others = [asyncio.create_task(client.classify(image(i))) for i in (2, 3)]
        with pytest.raises(DeadlineExceeded, match=r"within 0\.05 s"):
            await hasty
        held.set()
        assert [(await each).digit for each in others] == [2, 3]
    assert faulty.listings == 1


async def test_who_joins_in_waits_no_longer_than_it_may(faulty):
    """A caller who finds the listing under way keeps its own deadline."""
    held = faulty.hold_listing()
    async with AsyncDigitsClient(faulty.target, timeout=HELD_SECONDS) as client:
        patient = asyncio.create_task(client.classify(image(1)))
        await until(lambda: faulty.listings > 0)
        with pytest.raises(DeadlineExceeded, match=r"within 0\.1 s"):
            await client.classify(image(2), timeout=0.1)
        held.set()
        assert (await patient).digit == 1


async def test_who_has_more_time_asks_again(faulty):
    """When the shared listing takes longer than the client's own timeout, a patient caller still gets it."""
    held = faulty.hold_listing()
    async with AsyncDigitsClient(faulty.target, timeout=0.2) as client:
        first = asyncio.create_task(client.classify(image(1)))
        await asyncio.sleep(0)
        second = asyncio.create_task(client.classify(image(2), timeout=HELD_SECONDS))
        with pytest.raises(DeadlineExceeded):
            await first
        held.set()
        assert (await second).digit == 2


async def test_who_is_cancelled_leaves_the_listing_to_the_others(faulty):
    """Cancelling one waiter does not cancel the question."""
    held = faulty.hold_listing()
    async with AsyncDigitsClient(faulty.target, timeout=HELD_SECONDS) as client:
        tasks = [asyncio.create_task(client.classify(image(i))) for i in (1, 2)]
        await until(lambda: faulty.listings > 0)
        tasks[0].cancel()
        held.set()
        assert (await tasks[1]).digit == 2
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
    assert faulty.listings == 1
