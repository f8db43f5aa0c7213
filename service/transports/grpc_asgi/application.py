"""gRPC over HTTP/2 as an ASGI application, for the table of methods.

After grpc's document "gRPC over HTTP2". The server below it must pass on `http.response.trailers`, by which
gRPC tells how a call ended.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from google.protobuf.message import DecodeError, Message

from engine.errors import DeadlinePassed, InvalidInput, LimitReached, NotReady, NotSupported, ServiceError
from service.api.errors import translate
from service.api.method import Kind, Method, Methods
from service.api.middleware.metrics import try_fast_path
from service.telemetry.logs import debugging, log
from service.transports.admission import Admission, rejecting
from service.transports.grpc_asgi.call import AsgiCall, Event, Header, Receive, Send, metadata_headers, status_headers
from service.transports.grpc_asgi.framing import ENCODINGS, PREFIX, FrameReader, Frames, frame, is_plain
from service.transports.grpc_asgi.reaper import EXPIRED, CallReaper

# Bytes of an answer from which on the server below is waited for: smaller ones are not worth the hop.
LARGE_ANSWER = 64 * 1024

_TYPE = (b"content-type", b"application/grpc")


def _start(headers: list[Header]) -> Event:
    return {"type": "http.response.start", "status": 200, "headers": headers, "trailers": True}


STARTS = {name: _start([_TYPE, (b"grpc-encoding", name.encode())]) for name in ENCODINGS}
STARTS["identity"] = _start([_TYPE])
_ACCEPTED = (b"grpc-accept-encoding", ",".join(ENCODINGS).encode())
_OK = (b"grpc-status", b"0")
END: Event = {"type": "http.response.trailers", "headers": [_OK], "more_trailers": False}


class GrpcAsgi:
    """Serves the table. Belongs to one event loop."""

    def __init__(
        self, methods: Methods, *, max_message_bytes: int, max_pending_bytes: int, max_concurrent_calls: int
    ) -> None:
        """Serve `methods` within limits, beyond which calls end with RESOURCE_EXHAUSTED."""
        self._methods = methods
        self.max_message_bytes = max_message_bytes
        self._max_calls = max_concurrent_calls
        self.admission = Admission(max_pending_bytes, max_concurrent_calls)
        self.reaper = CallReaper()
        self._traced = debugging()

    @property
    def in_flight(self) -> int:
        """Calls that were entered and have not ended."""
        return len(self.reaper.calls)

    def drain(self) -> None:
        """Read streams no further: what was read is answered, then they end with UNAVAILABLE.

        Refusals wait for `leave`: who hears one at once comes back at once, and there would be no end of such calls.
        """
        self.admission.draining.set()

    def leave(self) -> None:
        """Nobody listens any more, and clients are told so with each answer: let refusals go out."""
        self.admission.goaway_sent.set()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        headers = dict(scope["headers"])
        if scope["method"] != "POST":
            return await _refuse(send, 405, b"gRPC calls are POST requests\n")
        if headers.get(b"content-type") != b"application/grpc" and not _is_grpc(headers):
            return await _refuse(send, 415, b"gRPC calls have the content type application/grpc\n")
        call = AsgiCall(scope, headers, receive)
        self.reaper.add(call)
        await self.answer(call, send)
        return None

    async def answer(self, call: AsgiCall, send: Send, first: Event | None = None) -> None:
        """Answer a call that the leavers look after; `first` is what was received of it already."""
        call.task = asyncio.current_task()
        try:
            method = self.found(call) if first is None else self._methods[call.path]
            with self.admission.place(method):
                if method.kind is Kind.UNARY:
                    await self._unary(method, call, send, first)
                else:
                    call.streams = True
                    await self._stream(method, call, send)
        except asyncio.CancelledError:
            if call.expired is not None:
                return await self.expire(call.expired, call, send)
            self.ended(call, "CANCELLED")
            if not call.left:
                raise
        except Exception as error:
            return await self.fail(error, call, send)
        else:
            self.ended(call, "OK")

    def ended(self, call: AsgiCall, code: str) -> None:
        """A call has ended with this status."""
        self.reaper.discard(call)
        if self._traced:
            ms = round((time.perf_counter() - call.came) * 1e3, 3)
            log.debug("call", method=call.path, code=code, peer=call.peer, ms=ms)

    def found(self, call: AsgiCall) -> Method:
        """The method that is called. Raises the `ServiceError` that the call shall end with."""
        call.read_headers()
        method = self._methods.get(call.path)
        if method is None:
            raise NotSupported("there is no such method")
        if len(self.reaper.calls) > self._max_calls + self.admission.reserved and not method.reserved:
            raise LimitReached(f"{self._max_calls} calls are being answered, the most there may be at once")
        if method.identify is not None:
            rejecting(method, method.identify, call)
        return method

    async def _unary(self, method: Method, call: AsgiCall, send: Send, first: Event | None) -> None:
        event = await call.receive() if first is None else first
        call.read_first(event)
        data, start = event.get("body", b""), PREFIX
        if call.more or not is_plain(data):
            # In pieces, compressed or wrong: all but the common case.
            data, start = await call.read_only(Frames(self.max_message_bytes, call.encoding), data, self.admission)
        elif len(data) > PREFIX + self.max_message_bytes:
            Frames(self.max_message_bytes, call.encoding).length(data)
        size = len(data)
        admission = self.admission
        admission.entered += 1
        try:
            try:
                admission.admit(size)
            except ServiceError as error:
                method.refused(error)
                raise
            written = await try_fast_path(method, data, start, call)
            if written is None:
                handler: Any = method.handler
                response: Message = await handler(rejecting(method, _parsed, method, data[start:]), call)
                written = response.SerializeToString()
        finally:
            admission.release(size)
        await self.write(written, call, send)

    async def write(self, written: bytes, call: AsgiCall, send: Send) -> None:
        """Send the answer of a unary call."""
        try:
            await send(STARTS[call.accepted])
            call.started = True
            body = frame(written, call.accepted)
            if len(body) > LARGE_ANSWER:  # it stays in flight until the client has begun to take it
                await send({"type": "http.response.body", "body": body, "more_body": True})
                body = b""
            await send({"type": "http.response.body", "body": body})
            await send(_ended(call) if call.trailers else END)
        except OSError:
            call.leave()

    async def _stream(self, method: Method, call: AsgiCall, send: Send) -> None:
        self.admission.entered += 1
        handler: Callable[..., Any] = method.handler
        cut = False

        async def messages() -> AsyncIterator[Message]:
            nonlocal cut
            reader = FrameReader(Frames(self.max_message_bytes, call.encoding))
            async for data in self.admission.until_draining(_messages(call, reader)):
                yield _parsed(method, data)
            cut = self.admission.draining.is_set()

        async def tell(event: Event) -> None:
            try:
                if not call.started:
                    await send(STARTS[call.accepted])
                    call.started = True
                await send(event)
            except OSError:
                call.leave()

        async with aclosing(handler(messages(), call)) as responses:
            async for response in responses:
                body = frame(response.SerializeToString(), call.accepted)
                await tell({"type": "http.response.body", "body": body, "more_body": True})
        if cut:
            raise NotReady("the server is draining")
        await tell({"type": "http.response.body", "body": b""})
        await tell(_ended(call))

    async def expire(self, error: DeadlinePassed, call: AsgiCall, send: Send) -> None:
        """End a call whose time has passed."""
        if error is not EXPIRED:  # its handler was not entered
            self._methods[call.path].refused(error)
        await self.fail(error, call, send)

    async def fail(self, error: Exception, call: AsgiCall, send: Send) -> None:
        """End a call with a status: by trailers, or by headers alone when nothing was sent yet."""
        self.reaper.discard(call)  # it ends as it is, whatever happens meanwhile
        failure = translate(error, call.path)
        await self.admission.wait_until_rejections_allowed()
        code = str(failure.code.name)
        headers = status_headers(failure.code.value[0], failure.message, failure.metadata())
        try:
            if call.started:
                await send({"type": "http.response.body", "body": b""})
                await send({"type": "http.response.trailers", "headers": headers, "more_trailers": False})
            else:
                await send({"type": "http.response.start", "status": 200, "headers": [_TYPE, _ACCEPTED, *headers]})
                await send({"type": "http.response.body", "body": b""})
        except OSError:
            code = "CANCELLED"
        self.ended(call, code)


async def _messages(call: AsgiCall, reader: FrameReader) -> AsyncIterator[bytes]:
    """The messages of a stream."""
    while True:
        while (message := reader.next()) is not None:
            yield message
        if not call.more:
            reader.end()
            return
        reader.feed(await call.read())


def _is_grpc(headers: dict[bytes, bytes]) -> bool:
    """`application/grpc` and `application/grpc+proto`, with parameters or without; no other encoding of messages."""
    content_type = headers.get(b"content-type", b"").partition(b";")[0].strip()
    return content_type in (b"application/grpc", b"application/grpc+proto")


def _parsed(method: Method, data: bytes) -> Message:
    try:
        return method.request.FromString(data)
    except DecodeError:
        name = method.request.DESCRIPTOR.full_name
        raise InvalidInput("message", f"{len(data)} bytes that are no {name}") from None


def _ended(call: AsgiCall) -> Event:
    """The trailers of a call that went well."""
    headers = [_OK, *metadata_headers(call.trailers.items())]
    return {"type": "http.response.trailers", "headers": headers, "more_trailers": False}


async def _refuse(send: Send, status: int, sentence: bytes) -> None:
    """Answer what is no gRPC call, as plain HTTP has it."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence})
