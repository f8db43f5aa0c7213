"""What runs inside Envoy: the ASGI application, whose lifespan is the life of a worker."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from service.app import App
from service.config import Settings, read_settings
from service.process.worker import work
from service.telemetry.logs import close_logs, configure_logs, log
from service.transports.already_started import task_or_started
from service.transports.envoy.admin import POLL_SECONDS, AdminError, EnvoyAdmin
from service.transports.envoy.program import ADMIN
from service.transports.envoy.secrets import write_secrets
from service.transports.grpc_asgi.application import GrpcAsgi
from service.transports.grpc_asgi.call import Event, Receive, Send
from service.transports.grpc_asgi.fast_path import FastPath
from service.transports.tls import Certificates
from service.workers.environment import NUMBER
from service.workers.link import SupervisorLink


class EnvoyTransport:
    """gRPC on one port, the HTTP side on the other; see `service.process.process.Transport`."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        certificates: Certificates | None,
        receive: Receive,
        send: Send,
        link: SupervisorLink,
    ) -> None:
        """Serve `app`; Envoy listens, and `receive` and `send` are the lifespan by which it starts and ends."""
        self._receive = receive
        self._send = send
        self._link = link
        self.shutdown: asyncio.Future[Event] | None = None
        """Done when Envoy ends; None until it has started."""
        self._certificates = certificates
        self._renewing: asyncio.Task[None] | None = None
        self._admin = EnvoyAdmin(Path(os.environ[ADMIN]))
        self._grpc = GrpcAsgi(
            app.methods,
            max_message_bytes=settings.max_message_bytes,
            max_pending_bytes=settings.max_pending_mb * 2**20,
            max_concurrent_calls=settings.max_concurrent_calls,
        )
        self.answer_grpc = FastPath(self._grpc, app.methods)
        self.answer_http: Any = None
        if settings.http_port >= 0:
            from service.transports.http.application import HttpApp
            from service.transports.http.cors import Cors
            from service.transports.http.rest.fast_path import RestFastPath

            application = HttpApp(app.methods, app.rest, app.health, settings, app.metrics, app.guard)
            self.answer_http = Cors.around(RestFastPath(application, application.rest), settings.cors_origins)

    async def start(self) -> dict[str, int | None]:
        """See `Transport`; the ports are those of the settings."""
        await self._send({"type": "lifespan.startup.complete"})  # now Envoy listens
        self.shutdown = asyncio.ensure_future(self._receive())
        self.shutdown.add_done_callback(lambda _: self._link.end())
        while not await self._admin.ready():  # noqa: ASYNC110 - it cannot be awaited, only asked
            await asyncio.sleep(POLL_SECONDS)
        if self._certificates is not None:
            folder = Path(os.environ[ADMIN]).parent
            self._renewing = asyncio.create_task(self._certificates.keep_renewed(partial(write_secrets, folder)))
        return {}

    async def stop(self, grace: float, stopped_listening: Callable[[], Awaitable[None]] | None) -> None:
        """See `Transport`. Envoy ends at SIGTERM without waiting for calls, so it gets one when they have ended."""
        until = time.monotonic() + grace
        if self._renewing is not None:
            self._renewing.cancel()
        self._grpc.drain()
        assert self.shutdown is not None, "it was started"
        if not self.shutdown.done():
            with suppress(AdminError):
                await self._admin.stop_listening()
            if stopped_listening is not None:
                await stopped_listening()
            self._grpc.allow_rejections()
            await self._admin.drain(max(0.0, until - time.monotonic()))
            os.kill(os.getpid(), signal.SIGTERM)
        await self.shutdown


class EnvoyApp:
    """The application: answers the requests of both ports."""

    _asgi_single_callable = True  # `__call__` is no coroutine function, by which it would be known for ASGI 3

    def __init__(self) -> None:
        self._answer_grpc: Any = None
        self._answer_http: Any = None
        self._http_port = -1

    def __call__(self, scope: Event, receive: Receive, send: Send) -> Any:
        """Answer one request, or live."""
        if scope["type"] == "lifespan":
            return self._live(receive, send)
        if scope["server"][1] == self._http_port:
            return self._answer_http(scope, receive, send)
        return self._answer_grpc(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        settings = read_settings({})
        configure_logs(settings.log_level, settings.log_format, int(os.environ[NUMBER]))
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_exception)
        loop.set_task_factory(task_or_started)
        link = await SupervisorLink.open()
        transport: EnvoyTransport | None = None

        def new_transport(app: App, certificates: Certificates | None) -> EnvoyTransport:
            nonlocal transport
            transport = EnvoyTransport(app, settings, certificates, receive, send, link)
            self._answer_grpc, self._answer_http = transport.answer_grpc, transport.answer_http
            self._http_port = settings.http_port
            return transport

        code = await work(settings, link, new_transport)
        close_logs()
        if transport is None or transport.shutdown is None or not transport.shutdown.done():
            os._exit(code)  # without a start Envoy would only add a reason of its own
        await send({"type": "lifespan.shutdown.complete"})


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong in a callback, but for this: pyvoy delivers to a call that was cancelled as it received."""
    error = context.get("exception")
    if not (isinstance(error, asyncio.InvalidStateError) and "RecvFuture" in repr(context.get("handle"))):
        log.error("callback failed", reason=context["message"], exc_info=error)


app = EnvoyApp()
