"""Several processes that serve as one: what is changed in one is changed in all."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from google.protobuf.message import Message

from service.api.method import Context, LocalContext, Method, Methods, Mutation
from service.telemetry.metrics import Snapshot


class Broadcast(Protocol):
    """The processes that serve as one with this one, and this one itself."""

    async def change(self, path: str, request: bytes, change: Mutation) -> bytes:
        """Let each of them do an RPC; the answer of one. Raises the error of any."""

    async def totals(self) -> Snapshot:
        """What all of them have counted, those included that have ended."""


def broadcast_changes(methods: Methods, broadcast: Broadcast) -> Methods:
    """The table in which a call that changes something reaches every sibling; all else as it was."""
    return {path: _broadcast_change(method, method.change, broadcast) for path, method in methods.items()}


def _broadcast_change(method: Method, change_of: Callable[[Any], Mutation] | None, broadcast: Broadcast) -> Method:
    if change_of is None:
        return method

    async def handler(request: Message, context: Context) -> Message:
        answer = await broadcast.change(method.path, request.SerializeToString(), change_of(request))
        return method.response.FromString(answer)

    return replace(method, handler=handler)


async def run(methods: Methods, path: str, request: bytes) -> bytes:
    """Do a unary RPC by its own handler, as a sibling asked; raises what the handler does."""
    method = methods[path]
    handler: Any = method.handler
    answer: Message = await handler(method.request.FromString(request), LocalContext())
    return answer.SerializeToString()
