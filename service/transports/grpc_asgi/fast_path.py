"""A call of the fast path in two callbacks instead of a task, see `service.transports.already_started`.

It begins when its headers come, continues when its bytes come, and ends when its batch has been run. Everything else
goes on in `GrpcAsgi`, from where it stands.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from engine.errors import ServiceError
from service.api.method import Method, Methods
from service.transports.already_started import STARTED, AlreadyStarted
from service.transports.grpc_asgi.application import END, LARGE_ANSWER, STARTS, GrpcAsgi
from service.transports.grpc_asgi.call import AsgiCall, Event, Receive, Send
from service.transports.grpc_asgi.framing import PREFIX, frame, is_plain

_Bytes = asyncio.Future[bytes]


class FastPath:
    """Serves as `GrpcAsgi` does, under pyvoy. Its event loop needs `task_or_started`."""

    def __init__(self, application: GrpcAsgi, methods: Methods) -> None:
        """Serve `methods`, those of `application`."""
        self._application = application
        self._pipeline = application.pipeline
        self._methods = {
            path: method for path, method in methods.items() if method.fast_path is not None and not method.reserved
        }
        self._loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[Any]] = set()
        """Calls that go on as tasks; the loop itself keeps only weak references."""

    def __call__(self, scope: Event, receive: Receive, send: Send) -> AlreadyStarted | Coroutine[Any, Any, Any]:
        """Begin to answer one HTTP request."""
        method = self._methods.get(scope["path"])
        headers = dict(scope["headers"])
        if method is None or scope["method"] != "POST" or headers.get(b"content-type") != b"application/grpc":
            return self._application(scope, receive, send)
        call = AsgiCall(scope, headers, receive)
        self._application.reaper.add(call)
        try:
            self._pipeline.verify(self._application.find(call), call)
        except ServiceError as error:
            return self._application.fail(error, call, send)
        first = receive()
        if not isinstance(first, asyncio.Future):  # the request is nothing but headers
            return self._application.answer(call, send)
        call.task = first
        first.add_done_callback(partial(self._received, method, call, send))
        return STARTED

    def _received(self, method: Method, call: AsgiCall, send: Send, first: asyncio.Future[Event]) -> None:
        """The first bytes of a call have come, or it has ended before."""
        if first.cancelled():
            return self._cancelled(call, send)
        event = first.result()
        application, data = self._application, event.get("body", b"")
        whole = event["type"] == "http.request" and not event.get("more_body", False) and is_plain(data)
        if not whole or len(data) > PREFIX + application.max_message_bytes:
            return self._keep(application.answer(call, send, event))
        call.reading = call.more = False
        try:
            answer = self._pipeline.start(method, call, data, PREFIX)
        except Exception as error:
            return self._keep(application.fail(error, call, send))
        if answer is None:
            application.admission.release(len(data))
            return self._keep(application.answer(call, send, event, declined=True))
        call.task = answer
        answer.add_done_callback(partial(self._answered, method, call, send, len(data)))
        return None

    def _answered(self, method: Method, call: AsgiCall, send: Send, size: int, answer: _Bytes) -> None:
        """The batch of a call has been run."""
        self._application.admission.release(size)
        if answer.cancelled():
            method.fast_path_ended(call, asyncio.CancelledError())
            return self._cancelled(call, send)
        error: Any = answer.exception()
        method.fast_path_ended(call, error)
        if error is not None:
            return self._keep(self._application.fail(error, call, send))
        written = answer.result()
        self._application.end(call, "OK")
        if len(written) > LARGE_ANSWER:
            return self._keep(self._application.write(written, call, send))
        # Nothing awaits them: they would only report that the client has gone.
        send(STARTS[call.accepted])
        send({"type": "http.response.body", "body": frame(written, call.accepted)})
        send(END)
        return None

    def _cancelled(self, call: AsgiCall, send: Send) -> None:
        """The reaper has ended the call."""
        if call.expired is not None:
            self._keep(self._application.fail(call.expired, call, send))
        else:
            self._application.end(call, "CANCELLED")

    def _keep(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
