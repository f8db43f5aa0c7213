"""What Envoy runs in its own process: the ASGI application, and around it a worker's life.

Envoy ends its process on SIGTERM without asking, so it is the supervisor that drains: see `service.fronts.envoy_front`.
"""

import asyncio
import gc
from typing import Any

from service.app import App
from service.config import Settings
from service.fronts.asgi import GrpcAsgi
from service.fronts.asgi_call import Event, Receive, Send
from service.observe.logs import configure_logs, log


class EnvoyWorker:
    """The application; its lifespan is the worker's."""

    def __init__(self) -> None:
        self._front: Any = None
        self._tasks: list[asyncio.Task[Any]] = []

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """One request, or the worker's whole life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._front(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        settings = Settings()
        configure_logs(settings.log_level, settings.log_format)
        asyncio.get_running_loop().set_exception_handler(_log_exception)
        app = App(settings)
        self._front = GrpcAsgi(
            app.methods,
            max_message_bytes=settings.max_message_bytes,
            max_pending_bytes=settings.max_pending_mb * 2**20,
            max_concurrent_calls=settings.max_concurrent_calls,
        )
        await app.load()
        gc.collect()
        gc.freeze()
        log.info("serving", host=settings.host, port=settings.port)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong in a callback, but for this: pyvoy delivers to a call that was cancelled as it received."""
    error = context.get("exception")
    if not (isinstance(error, asyncio.InvalidStateError) and "RecvFuture" in repr(context.get("handle"))):
        log.error("callback failed", reason=context["message"], exc_info=error)


app = EnvoyWorker()
