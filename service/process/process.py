"""One process that answers calls: the app and its transport, alone or as one of several workers."""

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

import onnxruntime

from engine.models.repository import RepositoryError
from service.api.health import SERVING
from service.api.middleware.auth import Guard, TokenError
from service.api.middleware.broadcast import Broadcast
from service.app import App
from service.config import Settings
from service.process.signals import Signals, StartError, first_of
from service.telemetry.logs import close_logs, log
from service.transports.grpcio.server import GrpcioTransport
from service.transports.sockets import ListenError, page_address
from service.transports.tls import Certificates, TlsError

if TYPE_CHECKING:
    from service.transports.http.uvicorn import HttpServer


class Process:
    """Its steps, each of which raises `StartError` when the server cannot start."""

    def __init__(self, settings: Settings, broadcast: Broadcast | None = None) -> None:
        """Find the models; with `broadcast`, those share the port."""
        self._settings = settings
        try:
            certificates = Certificates.of(settings)
            self.app = App(settings, broadcast, Guard.of(settings))
        except (RepositoryError, TlsError, TokenError) as error:
            raise StartError(str(error)) from None
        self._transport = GrpcioTransport(
            self.app.methods,
            max_message_bytes=settings.max_message_bytes,
            max_pending_bytes=settings.max_pending_mb * 2**20,
            max_concurrent_calls=settings.max_concurrent_calls,
            max_connections=settings.max_connections,
            connection_idle_seconds=settings.connection_idle_seconds,
            connection_age_seconds=settings.connection_age_seconds,
            shared_port=broadcast is not None,
            certificates=certificates,
        )
        self._shared_port = broadcast is not None
        self._http = _http_server(self.app, settings, certificates)
        self._watching: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Load the models, and follow what becomes of them where that is wanted."""
        try:
            await self.app.load()
        except RepositoryError as error:
            raise StartError(str(error)) from None
        gc.collect()
        gc.freeze()  # what was loaded stays: the collector need not look through it again and again
        self._watching = asyncio.create_task(self.app.repository.watch())

    async def listen(self) -> dict[str, Any]:
        """Accept calls; returns the ports by the names of their settings."""
        settings = self._settings
        ports: dict[str, Any] = {"http_port": None}
        try:
            if self._http is not None:
                shared = self._shared_port
                ports["http_port"] = self._http.start(settings.host, settings.http_port, reuse_port=shared)
            ports["port"] = await self._transport.start(settings.host, settings.port)
        except ListenError as error:
            raise StartError(str(error)) from None
        return ports

    def state(self) -> dict[str, Any]:
        """What it serves, for the log."""
        return {
            "default_model": self.app.repository.default_model,
            "ready": self.app.health.status("") == SERVING,
            "onnxruntime": onnxruntime.__version__,
        }

    async def drain(self, grace: float, stopped_listening: Callable[[], Awaitable[None]] | None = None) -> None:
        """Refuse new calls and let those whose handler was entered end within `grace` seconds.

        `stopped_listening` waits until no sibling listens any more.
        """
        if self._watching is not None:
            self._watching.cancel()
        self.app.drain()
        until = time.monotonic() + grace
        await self._transport.stop(grace, stopped_listening)
        if self._http is not None:  # last: until then it tells probes that the server is draining
            await self._http.stop(max(0.0, until - time.monotonic()))


def _http_server(app: App, settings: Settings, certificates: Certificates | None) -> "HttpServer | None":
    if settings.http_port < 0:
        return None
    from service.transports.http.application import HttpApp
    from service.transports.http.uvicorn import HttpServer

    application = HttpApp(app.methods, app.health, settings, app.metrics, app.guard)
    return HttpServer(application, certificates, settings.max_connections, settings.connection_idle_seconds)


async def serve_alone(settings: Settings) -> int:
    """Be the one process of the server until a signal; returns its exit code. Raises `StartError`."""
    signals = Signals()
    process = Process(settings)
    address = {"host": settings.host, **await process.listen()}
    log.info("listening", **address)

    loading = asyncio.create_task(process.load())
    await first_of(loading, signals.first)
    if loading.done():
        try:
            await loading
        except StartError:
            await process.drain(0)
            raise
        page = page_address(settings.host, address["http_port"], tls=bool(settings.tls_cert))
        log.info("serving", page=page, **address, **process.state())
        await signals.first

    log.info("draining", grace_seconds=settings.grace_seconds)
    stopping = asyncio.create_task(process.drain(settings.grace_seconds))
    await first_of(stopping, signals.second)
    process.app.close()
    if not stopping.done():
        log.warning("stopped at once by a second signal")
        return 1
    log.info("stopped")
    return 0


def run_and_exit(main: Coroutine[Any, Any, int]) -> NoReturn:
    """Run `main` on uvloop, and end the process with the exit code that it returns."""

    async def exiting() -> NoReturn:
        code = await main
        close_logs()
        # Python would wait for threads that still decode images whose callers are gone.
        os._exit(code)

    import uvloop  # the supervisor imports this module and has no use for it

    uvloop.run(exiting())
    raise AssertionError("it exits")
