"""What runs inside Envoy: the ASGI application, and around it the life of a worker.

Envoy ends its process on SIGTERM without asking anyone, so it is the supervisor that lets calls in flight end
before that, see `service.transports.envoy.program`.
"""

import asyncio
import gc
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import onnxruntime

from engine.models.repository import RepositoryError
from service.api.health import SERVING
from service.api.middleware.auth import Guard, TokenError
from service.app import App
from service.config import Settings, read_settings
from service.telemetry.logs import close_logs, configure_logs, log
from service.transports.envoy.admin import AdminError, EnvoyAdmin
from service.transports.envoy.program import ADMIN
from service.transports.envoy.program import LOOK_SECONDS as CALLS_SECONDS
from service.transports.envoy.secrets import write_secrets
from service.transports.grpc_asgi.application import GrpcAsgi
from service.transports.grpc_asgi.call import Event, Receive, Send
from service.transports.grpc_asgi.fast_path import FastPath, task_or_started
from service.transports.tls import LOOK_SECONDS, Certificates, TlsError
from service.workers.environment import NUMBER
from service.workers.ipc import ChannelClosed
from service.workers.link import SupervisorLink


class EnvoyWorker:
    """The application: gRPC on one port, the HTTP side on the other, and its lifespan, which is the worker's."""

    _asgi_single_callable = True  # `__call__` is no coroutine function, by which it would be known for ASGI 3

    def __init__(self) -> None:
        self._grpc: Any = None
        self._answer: Any = None
        self._http: Any = None
        self._http_port = -1

    def __call__(self, scope: Event, receive: Receive, send: Send) -> Any:
        """Answer one request, or live."""
        if scope["type"] == "lifespan":
            return self._live(receive, send)
        if scope["server"][1] == self._http_port:
            return self._http(scope, receive, send)
        return self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        settings = read_settings({})
        configure_logs(settings.log_level, settings.log_format, int(os.environ[NUMBER]))
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_exception)
        loop.set_task_factory(task_or_started)
        control = await SupervisorLink.open()
        try:
            certificates = Certificates.of(settings)
            app = await self._start(settings, control)
        except (RepositoryError, TlsError, TokenError) as error:
            await control.failed(str(error))
            _exit()
        except ChannelClosed:
            _exit()
        living = asyncio.create_task(self._work(app, settings, control, certificates))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await control.leave()
        living.cancel()
        app.close()
        close_logs()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, settings: Settings, control: SupervisorLink) -> App:
        """Load the models; Envoy listens once this has been done."""
        app = App(settings, control, Guard.of(settings))
        self._grpc = GrpcAsgi(
            app.methods,
            max_message_bytes=settings.max_message_bytes,
            max_pending_bytes=settings.max_pending_mb * 2**20,
            max_concurrent_calls=settings.max_concurrent_calls,
        )
        self._answer = FastPath(self._grpc, app.methods)
        if settings.http_port >= 0:
            from service.transports.http.application import HttpApp

            self._http = HttpApp(app.methods, app.health, settings, app.metrics, app.guard)
            self._http_port = settings.http_port
        await app.load()
        gc.collect()
        gc.freeze()  # what was loaded stays: the collector need not look through it again and again
        await control.join(app)
        return app

    async def _work(
        self, app: App, settings: Settings, control: SupervisorLink, certificates: Certificates | None
    ) -> None:
        """Tell that calls are accepted, once they are, and do as the supervisor says."""
        state = {
            "default_model": app.repository.default_model,
            "ready": app.health.status("") == SERVING,
            "onnxruntime": onnxruntime.__version__,
        }
        admin = EnvoyAdmin(Path(os.environ[ADMIN]))
        while not await admin.ready():  # noqa: ASYNC110 - it cannot be awaited, only asked
            await asyncio.sleep(CALLS_SECONDS)
        log.info("worker serving", pid=os.getpid(), **state)
        await control.serving(**state)
        watching = [asyncio.create_task(app.repository.watch()), asyncio.create_task(_renew(certificates))]
        grace = await control.shutdown_requested
        for each in watching:
            each.cancel()
        app.drain()
        self._grpc.drain()
        with suppress(AdminError):
            await admin.drain()
        await control.stopped_listening()
        self._grpc.allow_rejections()
        if grace is None:  # nobody is left who would end this process
            await _wait_for_none(self._grpc, settings.grace_seconds)
            os.kill(os.getpid(), signal.SIGTERM)


async def _renew(certificates: Certificates | None) -> None:
    """Hand certificates over to Envoy when they have changed."""
    if certificates is None:
        return
    pem = certificates.current()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if (now := certificates.current()) is not pem:
            pem = now
            write_secrets(Path(os.environ[ADMIN]).parent, pem)


def _exit() -> NoReturn:
    """End without a start; Envoy would only add what it makes of that."""
    close_logs()
    os._exit(1)


async def _wait_for_none(front: GrpcAsgi, grace: float) -> None:
    """Wait until no call is in flight, `grace` seconds at most."""
    loop = asyncio.get_running_loop()
    until = loop.time() + grace
    while front.in_flight and loop.time() < until:  # noqa: ASYNC110 - as above
        await asyncio.sleep(CALLS_SECONDS)


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong in a callback, but for this: pyvoy delivers to a call that was cancelled as it received."""
    error = context.get("exception")
    if not (isinstance(error, asyncio.InvalidStateError) and "RecvFuture" in repr(context.get("handle"))):
        log.error("callback failed", reason=context["message"], exc_info=error)


app = EnvoyWorker()
