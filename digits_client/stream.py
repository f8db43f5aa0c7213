"""The answers of a stream, put back into the order of the items."""

from collections import deque
from collections.abc import Iterator

from digits_client.errors import DigitsError, from_status
from digits_client.results import Classification, Classifications, read_response
from stubs.digits.v1 import digits_pb2 as pb

StreamResult = Classification | Classifications | DigitsError | ValueError | TypeError | OSError


class Answers:
    """What is still to be yielded: items that failed before they were sent, between those that were."""

    def __init__(self, activations: bool) -> None:
        self.broken: Exception | None = None
        """What the caller's iterable raised."""
        self.closed = False
        """Whether nobody wants the answers any more."""
        self._activations = activations
        # One entry an item, in order: whether a sent one is a single image, or why it was not sent.
        self._pending: deque[bool | Exception] = deque()
        self._count = 0

    def sent(self, single: bool) -> str:
        """Note an item that goes to the server; returns its id."""
        self._pending.append(single)
        self._count += 1
        return str(self._count)

    def failed(self, error: Exception) -> None:
        """Note an item that cannot be sent."""
        self._pending.append(error)

    def take(self, response: pb.ClassifyStreamResponse) -> Iterator[StreamResult]:
        """What can be yielded with this answer of the server."""
        yield from self._failures()
        single = self._pending.popleft()
        if response.WhichOneof("result") == "error":
            yield from_status(response.error)
        else:
            results = read_response(response.response, activations=self._activations)
            yield results[0] if single else results
        yield from self._failures()

    def rest(self) -> Iterator[StreamResult]:
        """What can be yielded after the last answer; raises what the iterable raised."""
        yield from self._failures()
        if self.broken is not None:
            raise self.broken

    def _failures(self) -> Iterator[StreamResult]:
        while self._pending and isinstance(self._pending[0], Exception):
            yield self._pending.popleft()  # type: ignore[misc]
