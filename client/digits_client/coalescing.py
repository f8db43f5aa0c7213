"""Single images that are classified in the same turn of the event loop share one call."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from digits_client.answers.results import Classification, Classifications
from digits_client.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Images with the same key may share a call."""

    model: str
    version: str
    activations: bool
    coverage: float | None
    reject_above: float | None
    timeout: float


Waiting = tuple[bytes, asyncio.Future[Classification]]
Send = Callable[[BatchKey, bytes, int], Awaitable[Classifications]]


class Coalescer:
    """Collects images until the next turn of the loop."""

    def __init__(self, send: Send) -> None:
        """`send` classifies contiguous images, given their pixels and their number."""
        self._send = send
        self._waiting: dict[BatchKey, list[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, key: BatchKey, pixels: bytes, max_images: int) -> asyncio.Future[Classification]:
        """The result of one image, given as raw pixels that fit the model. A call carries at most `max_images`."""
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
            if len(waiting) > 1:  # one of them is invalid: calls of one image show which
                await asyncio.gather(*(self._run(key, [each]) for each in waiting))
                return
            _fail(waiting, error)
        except Exception as error:  # the callers wait for the result or the error
            _fail(waiting, error)
        else:
            for (_, future), result in zip(waiting, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(waiting: list[Waiting], error: Exception) -> None:
    """Give each caller a copy of the error: a shared one would collect the tracebacks of all callers."""
    for _, future in waiting:
        if not future.done():
            own = copy.copy(error)
            own.__cause__ = error.__cause__
            future.set_exception(own)
