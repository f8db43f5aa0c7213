"""Answering a stream: order, how far reading goes ahead, and what is left when it ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from service.api import streaming as streams
from service.api.streaming import Admitted, answer_each


class Sender:
    """Sends numbered requests as long as they are read."""

    def __init__(self, size: int = 1) -> None:
        self.read = 0
        self._text = "x" * size

    async def requests(self) -> AsyncIterator[StringValue]:
        while True:
            self.read += 1
            yield StringValue(value=f"{self.read}{self._text}")


async def settle() -> None:
    """Let everything that can happen do so."""
    for _ in range(1000):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_the_requests():
    """Though the later ones are done first."""

    async def requests() -> AsyncIterator[StringValue]:
        for word in ("slow", "quick", "quicker"):
            yield StringValue(value=word)

    async def answer(request: StringValue, admitted: Admitted) -> str:
        admitted.set_result(None)
        await asyncio.sleep(0.05 if request.value == "slow" else 0)
        return request.value

    assert [word async for word in answer_each(requests(), answer)] == ["slow", "quick", "quicker"]


async def test_nothing_more_is_read_until_a_request_is_in_the_queue():
    """So a client is held back by the queue that its requests wait for."""
    sender, gate = Sender(), asyncio.Event()

    async def answer(request: StringValue, admitted: Admitted) -> str:
        await gate.wait()
        admitted.set_result(None)
        return request.value

    answers = answer_each(sender.requests(), answer)
    first = asyncio.ensure_future(anext(answers))
    await settle()
    assert sender.read == 1
    gate.set()
    assert await first == "1x"
    await answers.aclose()


@pytest.mark.parametrize(("size", "ahead"), [(1, streams.WINDOW), (streams.WINDOW_BYTES // 4, 4)])
async def test_reading_goes_ahead_of_the_answers_no_further_than_the_window(size: int, ahead: int):
    """In messages, and in bytes; each answer that was taken lets one more in."""
    sender = Sender(size)

    async def answer(request: StringValue, admitted: Admitted) -> int:
        admitted.set_result(None)
        return 0

    answers = answer_each(sender.requests(), answer)
    for taken in range(1, 4):
        await anext(answers)
        await settle()
        assert sender.read == ahead + taken - 1
    await answers.aclose()


async def test_what_an_answer_raises_ends_the_stream_and_leaves_nothing_behind():
    """What goes wrong with one request alone is its answer; this is not."""

    sender = Sender()

    async def answer(request: StringValue, admitted: Admitted) -> str:
        admitted.set_result(None)
        if request.value.startswith("3"):
            while sender.read < 5:  # noqa: ASYNC110 - those behind it have begun
                await asyncio.sleep(0)
            raise KeyError(request.value)
        if not request.value.startswith(("1", "2")):
            await asyncio.sleep(60)
        return request.value

    before = asyncio.all_tasks()
    answers = answer_each(sender.requests(), answer)
    assert [await anext(answers) for _ in range(2)] == ["1x", "2x"]
    with pytest.raises(KeyError):
        await anext(answers)
    await settle()
    assert asyncio.all_tasks() == before
