"""gRPC over ASGI without a server: requests as a server hands them over, and a table of methods to call."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from google.protobuf.wrappers_pb2 import StringValue

from engine.errors import InvalidInput, QueueFull
from service.api.method import Kind, LocalContext, Method, Methods, table
from service.api.middleware.metrics import count_calls
from service.transports.already_started import AlreadyStarted, task_or_started
from service.transports.grpc_asgi.application import GrpcAsgi
from service.transports.grpc_asgi.fast_path import FastPath
from service.transports.grpc_asgi.framing import Encoding, FrameReader, Frames, frame

LIMITS = {"max_message_bytes": 1000, "max_pending_bytes": 1500, "max_concurrent_calls": 10}
QUICK = ("hello", "hang", "crash", "full")
SPEAK, REPEAT = "/t.T/Speak", "/t.T/Repeat"
Headers = Iterable[tuple[bytes, bytes]]


class Table:
    """Methods that do as the message says; `hang` until `release`, `hung` while someone does."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.hung = asyncio.Event()
        self.ended: list[str] = []
        self.calls: list[LocalContext] = []
        self.tried: list[str] = []
        """Words that came to the fast path."""
        self.methods: Methods = table(
            count_calls(Method(SPEAK, StringValue, StringValue, Kind.UNARY, self.speak, self.speak_quickly)),
            count_calls(Method(REPEAT, StringValue, StringValue, Kind.STREAM, self.repeat)),
        )

    async def speak(self, request: StringValue, call: LocalContext) -> StringValue:
        self.calls.append(call)
        try:
            return await self._do(request.value, call)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise

    def speak_quickly(self, data: bytes, start: int, call: LocalContext) -> asyncio.Future[bytes] | None:
        word = data[start + 2 :].decode("latin-1")
        self.tried.append(word)
        if word not in QUICK:
            return None

        async def spoken() -> bytes:
            return (await self.speak(StringValue(value=word), call)).SerializeToString()

        return asyncio.ensure_future(spoken())

    async def repeat(self, requests: AsyncIterator[StringValue], call: LocalContext) -> AsyncIterator[StringValue]:
        self.calls.append(call)
        try:
            async for request in requests:
                yield await self._do(request.value, call)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        self.ended.append("end")

    async def _do(self, word: str, call: LocalContext) -> StringValue:
        if word == "hang":
            self.hung.set()
            await self.release.wait()
        elif word == "crash":
            raise KeyError("secret")
        elif word == "no file":
            raise FileNotFoundError("/secret")
        elif word == "full":
            raise QueueFull("100 % full, später", retry_after=0.25)
        elif word == "wrong":
            raise InvalidInput("value", "is wrong\n")
        elif word == "trailers":
            call.trailers.update({"x-note": "kept", "x-raw-bin": b"\0\xff\1"})
        return StringValue(value=word)

    def front(self, **limits: int) -> GrpcAsgi:
        return GrpcAsgi(self.methods, **(LIMITS | limits))

    def failures(self, path: str) -> dict[str, int]:
        """How often calls were counted as failed, by the reason."""
        failures = self.methods[path].counts.calls.failures
        return {reason: timer.count for reason, timer in failures.items()}


class NoBody:
    """What is received of a request that is nothing but headers."""

    def __await__(self) -> Iterator[Any]:
        yield from ()
        return {"type": "http.request", "body": b"", "more_body": False}


class UnderPyvoy:
    """A front that is called straight, as pyvoy calls it."""

    def __init__(self, front: GrpcAsgi, methods: Methods) -> None:
        self.front = front
        self._straight = FastPath(front, methods)
        asyncio.get_running_loop().set_task_factory(task_or_started)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.front, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        sent: list[asyncio.Future[None]] = []

        def send_now(event: Any) -> Any:
            sending = asyncio.ensure_future(send(event))
            sending.add_done_callback(asyncio.Future.exception)  # nobody has to look at it
            sent.append(sending)
            return sending

        def receive_ahead() -> Any:
            return asyncio.ensure_future(receive())

        task: Any = asyncio.get_running_loop().create_task(
            self._straight(scope, NoBody if scope.get("no body") else receive_ahead, send_now)  # type: ignore[arg-type]
        )
        if not isinstance(task, AlreadyStarted):
            await task
            return
        calls, others = self.front.reaper.calls, set(self._straight.tasks)
        [call] = [each for each in calls if each.scope is scope]
        while call in calls or self._straight.tasks - others:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        await asyncio.gather(*sent, return_exceptions=True)  # a call may be over a turn before its last event is out


class Request:
    """One request, and what came back."""

    def __init__(
        self,
        *pieces: bytes,
        path: str = SPEAK,
        headers: Headers = (),
        verb: str = "POST",
        unended: bool = False,
        repeats: bool = False,
        content_type: bytes | None = b"application/grpc",
    ) -> None:
        """`pieces` are its body, which an `unended` one has not all.

        At its end the server waits for the client to go, or `repeats` that there is nothing.
        """
        typed = [] if content_type is None else [(b"content-type", content_type)]
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": verb,
            "path": path,
            "headers": [(b"te", b"trailers"), *typed, *headers],
            "client": ("10.0.0.1", 4321),
            "server": ("127.0.0.1", 1),
        }
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for index, piece in enumerate(pieces):
            self.more(piece, end=not unended and index == len(pieces) - 1)
        self._ended = not unended
        self._repeats = repeats
        self._gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.told = asyncio.Event()
        """Set whenever something was sent."""
        self.unsendable = False
        """Whether sending fails, as it does once nobody is there."""
        self.receiving = 0
        self.received = 0

    def more(self, piece: bytes, *, end: bool = False) -> None:
        self._events.put_nowait({"type": "http.request", "body": piece, "more_body": not end})
        if end:
            self._ended = True

    def go(self) -> None:
        """The client is gone."""
        self._gone.set()
        self._events.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        if self._repeats and self._ended and self._events.empty():
            return {"type": "http.request", "body": b"", "more_body": False}
        self.receiving += 1
        try:
            return await self._events.get()
        finally:
            self.receiving -= 1

    async def send(self, event: dict[str, Any]) -> None:
        if self.unsendable:
            raise OSError("nobody is there")
        self.sent.append(event)
        self.told.set()

    async def run(self, front: GrpcAsgi) -> "Request":
        """Let it be answered."""
        async with asyncio.timeout(10):
            await front(self.scope, self.receive, self.send)
        return self

    # What came back.

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def trailers(self) -> dict[bytes, bytes]:
        """Those of the end, which are the headers when there is nothing else."""
        last = self.sent[-1]
        if last["type"] == "http.response.trailers":
            assert self.sent[0]["trailers"]
            assert not last["more_trailers"]
            return dict(last["headers"])
        assert not last.get("more_body", False)
        return self.headers

    @property
    def only_trailers(self) -> bool:
        return len(self.sent) == 2 and self.sent[1]["body"] == b"" and not self.sent[0].get("trailers", False)

    @property
    def code(self) -> int:
        """gRPC's status."""
        return int(self.trailers[b"grpc-status"])

    @property
    def message(self) -> str:
        return unquote(self.trailers.get(b"grpc-message", b"").decode())

    @property
    def body(self) -> bytes:
        return b"".join(event["body"] for event in self.sent if event["type"] == "http.response.body")

    def answers(self, encoding: Encoding = "identity") -> list[str]:
        """The messages that came back."""
        reader = FrameReader(Frames(100_000, encoding))
        reader.feed(self.body)
        found = []
        while (message := reader.next()) is not None:
            found.append(StringValue.FromString(message).value)
        reader.end()
        return found


def say(word: str, encoding: Encoding = "identity") -> bytes:
    """A message with its frame."""
    return frame(StringValue(value=word).SerializeToString(), encoding)
