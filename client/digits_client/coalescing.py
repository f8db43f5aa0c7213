"""Single images asked for in the same turn of the event loop go out as one call."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from digits_client.errors import InvalidInput
from digits_client.results import Classification, Classifications


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Images with the same key may share a call."""

    model: str
    version: str
    activations: bool
    coverage: float | None
    timeout: float


Waiting = tuple[bytes, asyncio.Future[Classification]]
Send = Callable[[BatchKey, bytes, int], Awaitable[Classifications]]


class Coalescer:
    """Collects images until the loop's next turn."""

    def __init__(self, send: Send) -> None:
        """`send` classifies so many images that stand back to back."""
        self._send = send
        self._waiting: dict[BatchKey, list[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, key: BatchKey, pixels: bytes, max_images: int) -> asyncio.Future[Classification]:
        """The result of one image, of raw pixels that fit the model; a call carries at most `max_images`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Classification] = loop.create_future()
        waiting = self._waiting.setdefault(key, [])
        waiting.append((pixels, future))
        if len(waiting) == 1:
            loop.call_soon(self._flush, key)
        if len(waiting) >= max_images:
            self._flush(key)
        return future

    def _flush(self, key: BatchKey) -> None:
        waiting = self._waiting.pop(key, None)
        if waiting:
            task = asyncio.get_running_loop().create_task(self._run(key, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, key: BatchKey, waiting: list[Waiting]) -> None:
        waiting = [each for each in waiting if not each[1].done()]
        if not waiting:
            return
        try:
            results = await self._send(key, b"".join([pixels for pixels, _ in waiting]), len(waiting))
        except InvalidInput as error:
            if len(waiting) > 1:  # one of them is bad: each gets its own answer
                await asyncio.gather(*(self._run(key, [each]) for each in waiting))
                return
            _fail(waiting, error)
        except Exception as error:  # whatever it is, the callers wait for it
            _fail(waiting, error)
        else:
            for (_, future), result in zip(waiting, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(waiting: list[Waiting], error: Exception) -> None:
    """Each caller gets an error object of its own, or their tracebacks would grow into each other."""
    for _, future in waiting:
        if not future.done():
            own = copy.copy(error)
            own.__cause__ = error.__cause__
            future.set_exception(own)
