"""The straight way of a call that is answered quickly: two callbacks instead of a task.

Half of what Python does for a small call under Envoy is asyncio's: a task is made, begun in a later turn of the
loop, and woken twice. pyvoy asks less of an application than ASGI does, and gives more: it calls it on the loop,
hands its result to `loop.create_task`, receives into a future at once, and sends as soon as `send` is called.
So here a call begins when it comes, goes on when its bytes are there, and ends when its batch has been run.
Whatever is out of the ordinary is left to `GrpcAsgi`, from where it stands.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from engine.errors import ServiceError
from service.api.method import Method, Methods
from service.transports.grpc_asgi.application import END, LARGE_ANSWER, STARTS, GrpcAsgi
from service.transports.grpc_asgi.call import AsgiCall, Event, Receive, Send
from service.transports.grpc_asgi.framing import PREFIX, frame, is_plain

_Bytes = asyncio.Future[bytes]


class AlreadyStarted:
    """Stands for the task of a call that has begun by itself."""

    def add_done_callback(self, callback: Any) -> None:
        """Never calls it: its end is nobody else's concern."""


_BEGUN = AlreadyStarted()


def task_or_begun(loop: asyncio.AbstractEventLoop, work: Any, **given: Any) -> Any:
    """A task factory, see `asyncio.loop.set_task_factory`, that leaves alone what has begun by itself.

    What is `given` for the task has grown with Python's releases: a context, then a name, then how it starts.
    """
    return work if work is _BEGUN else asyncio.Task(work, loop=loop, **given)


class FastPath:
    """Serves as `GrpcAsgi` does, under pyvoy. Its event loop needs `task_or_begun`."""

    def __init__(self, front: GrpcAsgi, methods: Methods) -> None:
        """Serve `methods`, those of `front`."""
        self._front = front
        self._quick = {path: method for path, method in methods.items() if method.fast_path is not None}
        self._loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[Any]] = set()
        """Calls that went on as tasks; the loop itself keeps only weak references."""

    def __call__(self, scope: Event, receive: Receive, send: Send) -> AlreadyStarted | Coroutine[Any, Any, Any]:
        """Begin to answer one HTTP request."""
        method = self._quick.get(scope["path"])
        headers = dict(scope["headers"])
        if method is None or scope["method"] != "POST" or headers.get(b"content-type") != b"application/grpc":
            return self._front(scope, receive, send)
        call = AsgiCall(scope, headers, receive)
        self._front.reaper.add(call)
        try:
            self._front.found(call)
        except ServiceError as error:
            return self._front.fail(error, call, send)
        first = receive()
        if not isinstance(first, asyncio.Future):  # the request is nothing but headers
            return self._front.answer(call, send)
        call.task = first
        first.add_done_callback(partial(self._received, method, call, send))
        return _BEGUN

    def _received(self, method: Method, call: AsgiCall, send: Send, first: asyncio.Future[Event]) -> None:
        """The first bytes of a call have come, or it has ended before."""
        if first.cancelled():
            return self._cancelled(call, send)
        event = first.result()
        front, data = self._front, event.get("body", b"")
        whole = event["type"] == "http.request" and not event.get("more_body", False) and is_plain(data)
        if not whole or len(data) > PREFIX + front.max_message_bytes:
            return self._keep(front.answer(call, send, event))
        size = len(data)
        front.admission.entered += 1
        call.reading = call.more = False
        try:
            try:
                front.admission.admit(size)
            except ServiceError as error:
                method.refused(error)
                raise
            answer = method.fast_path(data, PREFIX, call)  # type: ignore[misc]
        except Exception as error:
            front.admission.release(size)
            return self._keep(front.fail(error, call, send))
        if answer is None:
            front.admission.release(size)
            return self._keep(front.answer(call, send, event))
        call.task = answer
        answer.add_done_callback(partial(self._answered, method, call, send, size))
        return None

    def _answered(self, method: Method, call: AsgiCall, send: Send, size: int, answer: _Bytes) -> None:
        """The batch of a call has been run."""
        self._front.admission.release(size)
        if answer.cancelled():
            method.ended(call, asyncio.CancelledError())
            return self._cancelled(call, send)
        error: Any = answer.exception()
        method.ended(call, error)
        if error is not None:
            return self._keep(self._front.fail(error, call, send))
        written = answer.result()
        self._front.ended(call, "OK")
        if len(written) > LARGE_ANSWER:
            return self._keep(self._front.write(written, call, send))
        # What they give to await says no more than that the client has gone, who then misses nothing.
        send(STARTS[call.accepted])
        send({"type": "http.response.body", "body": frame(written, call.accepted)})
        send(END)
        return None

    def _cancelled(self, call: AsgiCall, send: Send) -> None:
        """The leavers have found that the client has gone or that its time has passed."""
        if call.expired is not None:
            self._keep(self._front.expire(call.expired, call, send))
        else:
            self._front.ended(call, "CANCELLED")

    def _keep(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
