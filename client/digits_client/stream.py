"""The results of a stream, in the order of its items."""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from digits_protocol.digits.v1 import digits_pb2 as pb

from digits_client.answers.results import Classification, Classifications, read_response
from digits_client.errors import DigitsError, ServerError, from_status, read_answer
from digits_client.images import Images

StreamResult = Classification | Classifications | DigitsError | ValueError | TypeError | OSError


class StreamResults:
    """Responses of the server, merged with the errors of items that were never sent."""

    def __init__(self, activations: bool, place: str) -> None:
        """`place` names the server in error sentences."""
        self.broken: Exception | None = None
        """The error that the caller's iterable raised."""
        self.closed = False
        """Whether the caller has stopped reading the answers."""
        self._activations = activations
        self._place = place
        # One entry for each item without a result, in order: (single, count) of a sent item, or the error of another.
        self._pending: deque[tuple[bool, int] | Exception] = deque()
        self._count = 0

    def add_sent(self, single: bool, count: int) -> str:
        """Record a sent item of `count` images; returns its id."""
        self._pending.append((single, count))
        self._count += 1
        return str(self._count)

    def add_failed(self, error: Exception) -> None:
        """Record an item that cannot be sent."""
        self._pending.append(error)

    def take(self, data: bytes) -> Iterator[StreamResult]:
        """The results up to this response of the server. Raises `ServerError` for an invalid response."""
        yield from self._failures()
        yield read_answer(data, pb.ClassifyStreamResponse, self._result, self._place)
        yield from self._failures()

    def _result(self, response: pb.ClassifyStreamResponse) -> StreamResult:
        pending = self._pending.popleft() if self._pending else None
        if not isinstance(pending, tuple):
            raise ValueError("a response without a request")
        single, count = pending
        if response.WhichOneof("result") == "error":
            return from_status(response.error)
        results = read_response(response.response, count=count, activations=self._activations)
        return results[0] if single else results

    def take_rest(self) -> Iterator[StreamResult]:
        """The results after the last response. Raises the iterable's error, or `ServerError` for missing ones."""
        yield from self._failures()
        if self._pending:
            raise ServerError(f"{self._place} ended the stream without results for {len(self._pending)} items")
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
