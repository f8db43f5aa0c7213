"""The life of a call of REST over ASGI. What paths and bodies mean is in `service.api.open_inference.rest`."""

import asyncio
import math
import time

import grpc

from engine.errors import InvalidInput, LimitReached, MessageTooLarge, QueueFull, ServiceError, quoted
from service.api.admission import Admission
from service.api.errors import Failure, translate
from service.api.method import Method
from service.api.open_inference.rest.codec import RestApi
from service.api.open_inference.rest.responses import to_json
from service.api.open_inference.rest.routes import find_route
from service.api.pipeline import Pipeline
from service.telemetry.logs import debugging, log
from service.transports import limits
from service.transports.http.rest.call import CallsInFlight, Event, HttpCall, Receive, Scope, Send
from service.transports.http.rest.compression import compress, decompress

Header = tuple[bytes, bytes]

# As Triton answers, and where it knows no such error, as HTTP does.
STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ALREADY_EXISTS: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
JSON_BYTES = b"inference-header-content-length"
_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")
_NO_STORE = (b"cache-control", b"no-store")
# Pieces of a body that are joined before more are read: clients may send it byte by byte.
MAX_PIECES = 1000


class WrongVerb(Exception):
    """The path does not take the verb; carries those that it takes."""

    def __init__(self, path: str, verb: str, verbs: tuple[str, ...]) -> None:
        super().__init__(f"{quoted(path)} takes {' and '.join(verbs)}, not {quoted(verb)}")
        self.verbs = verbs


class Rest:
    """Answers the paths below /v2. Belongs to one event loop."""

    def __init__(self, api: RestApi, admission: Admission, max_message_bytes: int) -> None:
        """Serve `api` within limits."""
        self._methods = api.methods
        self._admission = admission
        self.max_message_bytes = max_message_bytes
        self.pipeline = Pipeline(api.methods, admission, api.codec)
        self.in_flight = CallsInFlight()
        self._traced = debugging()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = HttpCall(scope=scope, receive=receive)
        call.metadata = {"authorization": call.header(b"authorization")}
        try:
            method = self.find(call)
        except (ServiceError, WrongVerb) as error:
            return await self.fail(error, None, call, send)
        with self._admission.call() as full:
            self.in_flight.add(call)
            return await self.answer(method, call, send, full=full)

    def find(self, call: HttpCall) -> Method:
        """The RPC of a call by its path and verb. Raises `NotFound`, `InvalidInput` and `WrongVerb`."""
        scope = call.scope
        client = scope.get("client")
        if client:
            call.peer = f"{client[0]}:{client[1]}"
        route = find_route(scope["raw_path"].decode("latin-1"))
        verb = "GET" if scope["method"] == "HEAD" else scope["method"]
        if verb not in route.rpcs:
            raise WrongVerb(scope["path"], scope["method"], tuple(route.rpcs))
        call.fields = route.fields
        return self._methods[route.rpcs[verb]]

    async def answer(
        self,
        method: Method,
        call: HttpCall,
        send: Send,
        first: Event | None = None,
        *,
        declined: bool = False,
        full: bool = False,
    ) -> None:
        """Answer a call that is in flight; `first` is the event that was received of it already.

        `declined` tells that the fast path has declined it, `full` that there are too many calls.
        """
        task = call.work = asyncio.current_task()
        try:
            with self.pipeline.enter(method, call):
                if full and not method.reserved:
                    raise LimitReached("there are as many calls at once as are allowed")
                data, start = b"", 0
                if call.scope["method"] == "POST":
                    data = await self._read(call, first)
                    if encoding := call.header(b"content-encoding"):
                        data = await decompress(data, encoding, self.max_message_bytes)
                    start = json_bytes(call.header(JSON_BYTES), len(data))
                call.reading = False
                body = await self.pipeline.unary(method, call, data, start, declined=declined)
            self.in_flight.discard(call)
            await self.succeed(body, method, call, send)
        except asyncio.CancelledError:
            if not (call.gone or call.late):
                raise
            assert task is not None
            task.uncancel()
            await self.end_cancelled(method, call, send)
        except Exception as error:
            await self.fail(error, method, call, send)

    async def _read(self, call: HttpCall, first: Event | None) -> bytes:
        """The body of a request; its bytes count while more of them come. Raises what ends the call."""
        pieces: list[bytes] = []
        admitted = 0
        try:
            while True:
                event = await call.receive() if first is None else first
                first = None
                if event["type"] != "http.request":
                    call.gone = True
                    raise asyncio.CancelledError
                piece: bytes = event.get("body", b"")
                if admitted + len(piece) > self.max_message_bytes:
                    raise MessageTooLarge(f"the body has more than {self.max_message_bytes} bytes")
                pieces.append(piece)
                if not event.get("more_body", False):
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
                admitted += len(piece)
                self._admission.admit(len(piece), admitted - len(piece))
                if len(pieces) >= MAX_PIECES:
                    pieces = [b"".join(pieces)]
        finally:
            self._admission.release(admitted)

    async def succeed(self, body: bytes, method: Method, call: HttpCall, send: Send) -> None:
        """Send the answer."""
        self.end(method, call, "OK")
        headers = answer_headers(call)
        # As with Triton: tritonclient accepts compressed answers to all its calls, and decompresses those alone.
        if call.infer is not None and (accepted := call.header(b"accept-encoding")):
            body, encoding = await compress(body, accepted)
            if encoding:
                headers.append((b"content-encoding", encoding))
        await _send(call, send, 200 if call.ok else 400, headers, body)

    async def end_cancelled(self, method: Method, call: HttpCall, send: Send) -> None:
        """End a call that was cancelled: its client has gone, or did not send it in time."""
        if call.late:
            return await self.fail(limits.not_arrived(), method, call, send)
        if call.calls is None:
            method.count_rejection("CANCELLED")
        return self.end(method, call, "CANCELLED")

    async def fail(self, error: Exception, method: Method | None, call: HttpCall, send: Send) -> None:
        """Send an error."""
        self.in_flight.discard(call)
        if isinstance(error, WrongVerb):
            headers = [_JSON, (b"allow", ", ".join(error.verbs).encode())]
            return await _send(call, send, 405, headers, to_json({"error": str(error)}))
        path = call.scope["path"]
        failure = translate(error, path) if method is None else self.pipeline.failure(error, method, call)
        self.end(method, call, failure.code.name)
        return await _send(call, send, *_failed(error, failure))

    def end(self, method: Method | None, call: HttpCall, code: str) -> None:
        """Forget a call that has ended with this status."""
        self.in_flight.discard(call)
        if self._traced and method is not None:
            ms = round((time.perf_counter() - call.came) * 1e3, 3)
            log.debug("call", method=method.path, code=code, peer=call.peer, ms=ms)


def json_bytes(text: str, size: int) -> int:
    """Where the binary tensors begin in a body of `size` bytes. Raises `InvalidInput`."""
    if not text:
        return size
    if not (text.isascii() and text.isdigit() and len(text) < 19) or int(text) > size:
        raise InvalidInput(
            "Inference-Header-Content-Length",
            f"is {quoted(text)}, expected the number of bytes of JSON among the {size} of the body",
        )
    return int(text)


def answer_headers(call: HttpCall) -> list[Header]:
    """The headers of a good answer, but for those of its transfer."""
    if not call.json_bytes:
        return [_JSON, _NO_STORE]
    return [_BINARY, (JSON_BYTES, b"%d" % call.json_bytes), _NO_STORE]


def _failed(error: Exception, failure: Failure) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of an error."""
    headers = [_JSON, _NO_STORE]
    status = 413 if isinstance(error, MessageTooLarge) else STATUSES.get(failure.code, 500)
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, QueueFull):
        headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after)))
    # The handlers call the values by their name in gRPC.
    return status, headers, to_json({"error": failure.message.replace("raw_input_contents[0]", "inputs[0]")})


async def _send(call: HttpCall, send: Send, status: int, headers: list[Header], body: bytes) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if call.scope["method"] == "HEAD" else body})
