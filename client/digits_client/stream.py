"""The answers of a stream, put back into the order of the items."""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from digits_protocol.digits.v1 import digits_pb2 as pb

from digits_client.errors import DigitsError, ServerError, from_status, read_answer
from digits_client.images import Images
from digits_client.results import Classification, Classifications, read_response

StreamResult = Classification | Classifications | DigitsError | ValueError | TypeError | OSError


class Answers:
    """What is still to be yielded: items that failed before they were sent, between those that were."""

    def __init__(self, activations: bool, place: str) -> None:
        """`place` is what sentences call the server."""
        self.broken: Exception | None = None
        """What the caller's iterable raised."""
        self.closed = False
        """Whether the caller has stopped reading the answers."""
        self._activations = activations
        self._place = place
        # One entry an item, in order: of a sent one whether it is a single image and of how many it is, or why it was
        # not sent.
        self._pending: deque[tuple[bool, int] | Exception] = deque()
        self._count = 0

    def sent(self, single: bool, count: int) -> str:
        """Note an item of `count` images that goes to the server; returns its id."""
        self._pending.append((single, count))
        self._count += 1
        return str(self._count)

    def failed(self, error: Exception) -> None:
        """Note an item that cannot be sent."""
        self._pending.append(error)

    def take(self, data: bytes) -> Iterator[StreamResult]:
        """What can be yielded with this answer of the server. Raises `ServerError` for one that is none."""
        yield from self._failures()
        yield read_answer(data, pb.ClassifyStreamResponse, self._result, self._place)
        yield from self._failures()

    def _result(self, response: pb.ClassifyStreamResponse) -> StreamResult:
        pending = self._pending.popleft() if self._pending else None
        if not isinstance(pending, tuple):
            raise ValueError("more than it was asked")
        single, count = pending
        if response.WhichOneof("result") == "error":
            return from_status(response.error)
        results = read_response(response.response, count=count, activations=self._activations)
        return results[0] if single else results

    def rest(self) -> Iterator[StreamResult]:
        """What can be yielded after the last answer; raises what the iterable raised, or `ServerError`."""
        yield from self._failures()
        if self._pending:
            raise ServerError(f"{self._place} ended the stream with {len(self._pending)} items unanswered")
        if self.broken is not None:
            raise self.broken

    def _failures(self) -> Iterator[StreamResult]:
        while self._pending and isinstance(self._pending[0], Exception):
            yield self._pending.popleft()  # type: ignore[misc]


async def each(images: Iterable[Images] | AsyncIterable[Images]) -> AsyncIterator[Images]:
    """The items of an iterable of either kind."""
    if isinstance(images, AsyncIterable):
        async for item in images:
            yield item
    else:
        for item in images:
            yield item
