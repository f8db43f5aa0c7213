"""Which calls are recorded, see `service.telemetry.observer`."""

from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from engine.errors import quoted
from service.api.method import Context, Method
from service.telemetry.observer import Observer


def observe(method: Method, observer: Observer) -> Method:
    """The same method; `observer` records its calls if it records all, or if they change something."""
    if method.change is not None:
        return replace(method, handler=_noting_change(method), observer=observer)
    return replace(method, observer=observer) if observer.records_all else method


def _noting_change(method: Method) -> Any:
    handler: Any = method.handler
    change: Any = method.change

    async def answer(request: Message, context: Context) -> Message:
        if context.record is not None:
            kind, *names = change(request).key
            context.record.change = " ".join((kind, *map(quoted, names)))
        response: Message = await handler(request, context)
        return response

    return answer
