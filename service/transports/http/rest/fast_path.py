"""A call of ModelInfer over REST in two callbacks instead of a task, see `service.transports.already_started`.

It begins when its headers come, continues when its bytes come, and ends when its batch has been run. Everything else
goes on in `Rest`, from where it stands.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from engine.errors import ServiceError
from service.api.method import Method
from service.transports.already_started import STARTED, AlreadyStarted
from service.transports.http.rest.application import JSON_BYTES, Rest, WrongVerb, answer_headers, json_bytes
from service.transports.http.rest.call import Event, HttpCall, Receive, Scope, Send
from service.transports.http.rest.compression import COMPRESS_BYTES

_SPECIAL = frozenset((b"content-encoding", b"accept-encoding", b"authorization", JSON_BYTES))


class RestFastPath:
    """Serves as the application of the HTTP port does, under pyvoy. Its event loop needs `task_or_started`."""

    def __init__(self, application: Any, rest: Rest) -> None:
        """Serve `application`, of which `rest` is a part."""
        self._application = application
        self._rest = rest
        self._admission = rest.pipeline.admission
        self._loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[Any]] = set()
        """Calls that go on as tasks; the loop itself keeps only weak references."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> AlreadyStarted | Coroutine[Any, Any, Any]:
        """Begin to answer one HTTP request."""
        special = [header for header in scope["headers"] if header[0] in _SPECIAL]
        found = dict(special)
        head = found.get(JSON_BYTES)
        if (
            head is None
            or len(found) < len(special)
            or b"content-encoding" in found
            or scope["method"] != "POST"
            or not scope["path"].endswith("/infer")
        ):
            return self._application(scope, receive, send)  # type: ignore[no-any-return]
        call = HttpCall(scope=scope, receive=receive)
        if b"authorization" in found:
            call.metadata = {"authorization": found[b"authorization"].decode("latin-1")}
        method = None
        try:
            method = self._rest.find(call)
            self._rest.pipeline.verify(method, call)
        except (ServiceError, WrongVerb) as error:
            return self._rest.fail(error, method, call, send)
        if self._admission.calls - self._admission.reserved >= self._admission.max_calls:
            return self._application(scope, receive, send)  # type: ignore[no-any-return]
        first = receive()
        if not isinstance(first, asyncio.Future):  # the request is nothing but headers
            return self._application(scope, receive, send)  # type: ignore[no-any-return]
        self._admission.calls += 1
        self._rest.in_flight.add(call)
        call.work = first
        first.add_done_callback(partial(self._received, method, call, send, head))
        return STARTED

    def _received(self, method: Method, call: HttpCall, send: Send, head: bytes, first: asyncio.Future[Event]) -> None:
        """The first bytes of a call have come, or it has ended before."""
        if first.cancelled():
            return self._keep(self._rest.end_cancelled(method, call, send))
        event = first.result()
        data: bytes = event.get("body", b"")
        whole = event["type"] == "http.request" and not event.get("more_body", False)
        if not whole or len(data) > self._rest.max_message_bytes:
            return self._keep(self._rest.answer(method, call, send, event))
        call.reading = False
        try:
            answer = self._rest.pipeline.start(method, call, data, json_bytes(head.decode("latin-1"), len(data)))
        except Exception as error:
            return self._keep(self._rest.fail(error, method, call, send))
        if answer is None:
            self._admission.release(len(data))
            return self._keep(self._rest.answer(method, call, send, event, declined=True))
        call.work = answer
        answer.add_done_callback(partial(self._answered, method, call, send, len(data)))
        return None

    def _answered(self, method: Method, call: HttpCall, send: Send, size: int, answer: asyncio.Future[bytes]) -> None:
        """The batch of a call has been run."""
        self._admission.release(size)
        if answer.cancelled():
            method.fast_path_ended(call, asyncio.CancelledError())
            return self._keep(self._rest.end_cancelled(method, call, send))
        error: Any = answer.exception()
        method.fast_path_ended(call, error)
        if error is not None:
            return self._keep(self._rest.fail(error, method, call, send))
        body = answer.result()
        if len(body) >= COMPRESS_BYTES:
            return self._keep(self._rest.succeed(body, method, call, send))
        self._admission.calls -= 1
        self._rest.end(method, call, "OK")
        headers = answer_headers(call)
        headers.append((b"content-length", b"%d" % len(body)))
        # Nothing awaits them: they would only report that the client has gone.
        send({"type": "http.response.start", "status": 200, "headers": headers})
        send({"type": "http.response.body", "body": body})
        return None

    def _keep(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let the rest of a call be a task."""
        task = self._loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._admission.calls -= 1
        self.tasks.discard(task)
