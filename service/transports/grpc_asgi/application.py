"""gRPC over HTTP/2 as an ASGI application, for the table of methods.

It follows grpc's document "gRPC over HTTP2". The server below it must support `http.response.trailers`, which carry
the status of a call.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from engine.errors import LimitReached, NotSupported
from service.api.admission import Admission
from service.api.errors import Failure
from service.api.method import Kind, Method, Methods
from service.api.pipeline import Pipeline, fail_call
from service.transports.grpc_asgi.call import AsgiCall, Event, Header, Receive, Send, metadata_headers, status_headers
from service.transports.grpc_asgi.framing import ENCODINGS, PREFIX, FrameReader, Frames, frame, is_plain
from service.transports.grpc_asgi.reaper import CallReaper

# Bytes of an answer from which on its sending is awaited: smaller ones are not worth a turn of the loop.
LARGE_ANSWER = 64 * 1024

_TYPE = (b"content-type", b"application/grpc")


def _start(headers: list[Header]) -> Event:
    return {"type": "http.response.start", "status": 200, "headers": headers, "trailers": True}


STARTS = {name: _start([_TYPE, (b"grpc-encoding", name.encode())]) for name in ENCODINGS}
STARTS["identity"] = _start([_TYPE])
_ACCEPTED = (b"grpc-accept-encoding", ",".join(ENCODINGS).encode())
_OK = (b"grpc-status", b"0")
_END: Event = {"type": "http.response.trailers", "headers": [_OK], "more_trailers": False}


class GrpcAsgi:
    """Serves the table. Belongs to one event loop."""

    def __init__(
        self, methods: Methods, *, max_message_bytes: int, max_pending_bytes: int, max_concurrent_calls: int
    ) -> None:
        """Serve `methods` within limits, beyond which calls end with RESOURCE_EXHAUSTED."""
        self._methods = methods
        self.max_message_bytes = max_message_bytes
        self.admission = Admission(max_pending_bytes, max_concurrent_calls)
        self.pipeline = Pipeline(methods, self.admission)
        self.reaper = CallReaper()

    @property
    def in_flight(self) -> int:
        """Calls that were entered and have not ended."""
        return len(self.reaper.calls)

    def drain(self) -> None:
        """Read streams no further: what was read is answered, then they end with UNAVAILABLE.

        Rejections wait for `allow_rejections`, see `Admission.wait_until_rejections_allowed`.
        """
        self.admission.draining.set()

    def allow_rejections(self) -> None:
        """Nothing listens on the port any more, and each answer says so: send rejections."""
        self.admission.goaway_sent.set()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        headers = dict(scope["headers"])
        if scope["method"] != "POST":
            return await _refuse(send, 405, b"gRPC calls are POST requests\n")
        if headers.get(b"content-type") != b"application/grpc" and not _is_grpc(headers):
            return await _refuse(send, 415, b"gRPC calls have the content type application/grpc\n")
        call = AsgiCall(scope, headers, receive)
        self.reaper.add(call)
        await self.answer(call, send)
        return None

    async def answer(self, call: AsgiCall, send: Send, first: Event | None = None, *, declined: bool = False) -> None:
        """Answer a call that the reaper watches; `first` is the event that was received of it already.

        `declined` tells that the fast path has declined its message.
        """
        call.task = asyncio.current_task()
        try:
            if first is None:
                method = self.find(call)
                place = self.pipeline.enter(method, call)
            else:  # the fast path has verified the caller
                method = self._methods[call.path]
                place = self.admission.place(method)
            with place:
                if method.kind is Kind.UNARY:
                    await self._unary(method, call, send, first, declined)
                else:
                    call.streams = True
                    await self._stream(method, call, send)
        except asyncio.CancelledError:
            if call.expired is not None:
                return await self.fail(call.expired, call, send)
            self.end(call, "CANCELLED")
            if not call.left:
                raise
        except Exception as error:
            return await self.fail(error, call, send)
        else:
            self.end(call, "OK")

    def end(self, call: AsgiCall, code: str) -> None:
        """Forget a call that has ended with this status."""
        self.reaper.discard(call)
        if call.record is not None:
            call.record.end(code)

    def find(self, call: AsgiCall) -> Method:
        """The method of a call, by its headers. Raises `InvalidInput`, `NotSupported` and `LimitReached`."""
        method = self._methods.get(call.path)
        if method is not None and method.observer is not None:
            method.observer.begin(method.path, call, audited=method.change is not None)
        call.read_headers()
        if method is None:
            raise NotSupported("there is no such method")
        limit = self.admission.max_calls
        if len(self.reaper.calls) > limit + self.admission.reserved and not method.reserved:
            raise LimitReached(f"{limit} calls are being answered, the most there may be at once")
        return method

    async def _unary(self, method: Method, call: AsgiCall, send: Send, first: Event | None, declined: bool) -> None:
        event = await call.receive() if first is None else first
        call.read_first(event)
        data, start = event.get("body", b""), PREFIX
        if call.more or not is_plain(data):
            # In pieces, compressed or wrong: all but the common case.
            data, start = await call.read_message(Frames(self.max_message_bytes, call.encoding), data, self.admission)
        elif len(data) > PREFIX + self.max_message_bytes:
            Frames(self.max_message_bytes, call.encoding).length(data)
        await self.write(await self.pipeline.unary(method, call, data, start, declined=declined), call, send)

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
            await send(end_event(call))
        except OSError:
            call.leave()

    async def _stream(self, method: Method, call: AsgiCall, send: Send) -> None:
        async def write(event: Event) -> None:
            try:
                if not call.started:
                    await send(STARTS[call.accepted])
                    call.started = True
                await send(event)
            except OSError:
                call.leave()

        messages = _messages(call, FrameReader(Frames(self.max_message_bytes, call.encoding)))
        async with aclosing(self.pipeline.stream(method, call, messages)) as responses:
            async for response in responses:
                body = frame(response, call.accepted)
                await write({"type": "http.response.body", "body": body, "more_body": True})
        await write({"type": "http.response.body", "body": b""})
        await write(end_event(call))

    async def fail(self, error: Exception, call: AsgiCall, send: Send) -> None:
        """End a call with a status: in trailers, or in headers alone when nothing was sent yet."""
        self.reaper.discard(call)  # nothing may cancel it from here on
        failure = self._failure(error, call)
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
        self.end(call, code)

    def _failure(self, error: Exception, call: AsgiCall) -> Failure:
        method = self._methods.get(call.path)
        return fail_call(error, call.path, call) if method is None else self.pipeline.failure(error, method, call)


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


def end_event(call: AsgiCall) -> Event:
    """The trailers of a call that went well."""
    sent = call.headers
    if call.known_ids is None and b"x-request-id" not in sent and b"traceparent" not in sent and not call.trailers:
        return _END  # nothing was recorded under an id, and a new value in each answer is work for HPACK
    ids = call.ids()
    headers = [_OK, (b"x-request-id", ids.request_id.encode())]
    if ids.traceparent:
        headers.append((b"traceparent", ids.traceparent.encode()))
        if ids.tracestate:
            headers.append((b"tracestate", ids.tracestate.encode()))
    if call.trailers:
        headers += metadata_headers(call.trailers.items())
    return {"type": "http.response.trailers", "headers": headers, "more_trailers": False}


async def _refuse(send: Send, status: int, sentence: bytes) -> None:
    """Answer a request that is not a gRPC call in plain HTTP."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence})
