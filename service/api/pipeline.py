"""The life of a call, whichever transport brings it.

1. `enter`, once the headers have come: verify the caller, and hold a reserved place.
2. `start`, once the message has come: admit its bytes, and try the fast path.
3. Without a fast path, parse the message and run the handler.
4. Release the bytes.
5. `failure`, when something went wrong: count what no handler counted, and translate the error into a status.

A transport brings headers and bytes, and takes a status and bytes.
"""

from asyncio import Future
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, aclosing
from typing import Any, Protocol

from google.protobuf.message import DecodeError, Message

from engine.errors import InvalidInput, NotReady
from service.api.admission import Admission
from service.api.errors import Failure, translate
from service.api.method import Context, Method, Methods


class Codec(Protocol):
    """How the messages of a call are written."""

    async def read(self, method: Method, context: Any, data: bytes, start: int) -> Message:
        """The message of the request in `data`; what `start` means is for it and the fast path. Raises `InvalidInput`,
        and what finding a model raises.
        """

    async def write(self, response: Any, context: Any) -> bytes:
        """The bytes of the answer."""


class ProtobufCodec:
    """The request is a serialized message that begins at data[start], the answer another."""

    async def read(self, method: Method, context: Any, data: bytes, start: int) -> Message:
        """See `Codec`."""
        return parse(method, data[start:])

    async def write(self, response: Any, context: Any) -> bytes:
        """See `Codec`."""
        written: bytes = response.SerializeToString()
        return written


PROTOBUF = ProtobufCodec()


class Pipeline:
    """What the calls of one transport pass through. Belongs to one event loop."""

    def __init__(self, methods: Methods, admission: Admission, codec: Codec = PROTOBUF) -> None:
        self.methods = methods
        self.admission = admission
        self._codec = codec

    def enter(self, method: Method, context: Context) -> AbstractContextManager[None]:
        """Verify the caller; the call holds a place while it is in what this returns.

        Raises `NotAuthenticated`, and `LimitReached` as it is entered.
        """
        self.verify(method, context)
        return self.admission.place(method)

    def verify(self, method: Method, context: Context) -> None:
        """Verify the caller alone, for a call that needs no reserved place. Raises `NotAuthenticated`."""
        if method.identify is not None:
            method.identify(context)

    def start(
        self, method: Method, context: Context, data: bytes, start: int = 0, *, declined: bool = False
    ) -> "Future[bytes] | None":
        """Admit the request that begins at data[start], and try the fast path unless it has `declined`;
        None: its handler must take it.

        The bytes stay admitted until `Admission.release(len(data))`, unless this raises: `QueueFull`, or an error of
        the fast path.
        """
        try:
            self.admission.admit(len(data))
            return None if declined or method.fast_path is None else method.fast_path(data, start, context)
        except BaseException:
            self.admission.release(len(data))
            raise

    async def unary(
        self, method: Method, context: Context, data: bytes, start: int = 0, *, declined: bool = False
    ) -> bytes:
        """The answer to a request, both as the codec has them. Raises what ends the call.

        A request that the fast path has `declined` goes to the handler at once.
        """
        future = self.start(method, context, data, start, declined=declined)
        try:
            if future is None:
                handler: Any = method.handler
                request = await self._codec.read(method, context, data, start)
                return await self._codec.write(await handler(request, context), context)
            try:
                answer = await future
            except BaseException as error:
                method.fast_path_ended(context, error)
                raise
            method.fast_path_ended(context, None)
            return answer
        finally:
            self.admission.release(len(data))

    async def stream(self, method: Method, context: Context, messages: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """The serialized answers to serialized messages.

        While draining it reads no further, answers what was read, and raises `NotReady`.
        """
        cut = False

        async def requests() -> AsyncIterator[Message]:
            nonlocal cut
            async for data in self.admission.until_draining(messages):
                yield parse(method, data)
            cut = self.admission.draining.is_set()

        handler: Any = method.handler
        async with aclosing(handler(requests(), context)) as responses:
            async for response in responses:
                yield response.SerializeToString()
        if cut:
            raise NotReady("the server is draining")

    def failure(self, error: Exception, method: Method, context: Context) -> Failure:
        """The status of a call that raised `error`; send it after `Admission.wait_until_rejections_allowed`."""
        if context.calls is None:  # its handler, which counts, was not entered
            method.count_rejection(error)
        return translate(error, method.path)


def parse(method: Method, data: bytes) -> Message:
    """The message of a request. Raises `InvalidInput`."""
    try:
        return method.request.FromString(data)
    except DecodeError:
        name = method.request.DESCRIPTOR.full_name
        raise InvalidInput("message", f"{len(data)} bytes that are no {name}") from None
