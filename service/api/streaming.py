"""One answer for each message of a stream, in their order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from google.protobuf.message import Message

# Messages of one stream, and bytes of them, that may be in the queue or unanswered. More would only wait
# there, keep memory from a client that does not read its answers, and keep other callers out of the queue.
WINDOW = 64
WINDOW_BYTES = 2**20

Request = TypeVar("Request", bound=Message)
BatchSlice = TypeVar("BatchSlice")
Admitted = asyncio.Future[None]


async def answer_each(
    requests: AsyncIterator[Request], answer: Callable[[Request, Admitted], Coroutine[Any, Any, BatchSlice]]
) -> AsyncIterator[BatchSlice]:
    """What `answer(request, admitted)` gives for each request, in their order.

    Reading goes ahead of answering by up to `WINDOW` messages or `WINDOW_BYTES` bytes, so that one stream
    can fill batches.
    `answer` waits where it would refuse because a queue is full and sets `admitted` once the request is in
    the queue; until then nothing more is read. What goes wrong with one request is its answer: what
    `answer` raises ends the stream.
    """
    pending: asyncio.Queue[tuple[asyncio.Task[BatchSlice], int] | None] = asyncio.Queue()
    tasks: set[asyncio.Task[BatchSlice]] = set()
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()
    messages = unanswered = 0

    async def read() -> None:
        nonlocal messages, unanswered
        async for request in requests:
            size = request.ByteSize()
            admitted: Admitted = loop.create_future()
            task = loop.create_task(answer(request, admitted))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            messages += 1
            unanswered += size
            pending.put_nowait((task, size))
            await asyncio.wait((admitted, task), return_when=asyncio.FIRST_COMPLETED)
            while messages >= WINDOW or unanswered >= WINDOW_BYTES:
                answered.clear()
                await answered.wait()

    reader = loop.create_task(read())
    reader.add_done_callback(lambda _: pending.put_nowait(None))
    try:
        while (item := await pending.get()) is not None:
            task, size = item
            yield await task
            messages -= 1
            unanswered -= size
            answered.set()
        await reader
    finally:
        reader.cancel()
        for task in tasks:
            task.cancel()
