"""`digits serve`: startup, serving until a signal, shutdown."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import onnxruntime

from service.api.health import SERVING
from service.app import App
from service.config import Settings
from service.fronts.grpcio_front import GrpcioFront, ListenError
from service.observe.logs import close_logs, configure_logs, log
from service.runtime.repository import RepositoryError

if TYPE_CHECKING:
    from service.fronts.http_server import HttpServer


class StartError(Exception):
    """The server cannot start; the message says why in one sentence."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end the process: with 0, or 1 when a second signal cut the end short.

    Raises `StartError`.
    """
    configure_logs(settings.log_level, settings.log_format)
    try:
        _run(_serve(settings))
    finally:
        close_logs()


def _run(main: Coroutine[Any, Any, None]) -> None:
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop

    uvloop.run(main)


async def _serve(settings: Settings) -> None:
    signals = _Signals()
    try:
        app = App(settings)
        front = GrpcioFront(
            app.methods,
            max_message_bytes=settings.max_message_bytes,
            max_pending_bytes=settings.max_pending_mb * 2**20,
            max_concurrent_calls=settings.max_concurrent_calls,
        )
        http = _http_server(app, settings)
        http_port = http.start(settings.host, settings.http_port) if http else None
        port = await front.start(settings.host, settings.port)
    except (RepositoryError, ListenError) as error:
        raise StartError(str(error)) from None
    log.info("listening", host=settings.host, port=port, http_port=http_port, onnxruntime=onnxruntime.__version__)

    loading = asyncio.create_task(app.load())
    await _first_of(loading, signals.first)
    try:
        if loading.done():
            await loading
            gc.collect()
            gc.freeze()  # what was loaded stays: the collector need not look through it again and again
            ready = app.health.status("") == SERVING
            log.info(
                "serving",
                host=settings.host,
                port=port,
                http_port=http_port,
                default_model=app.repository.default_model,
                ready=ready,
            )
            watching = asyncio.create_task(app.repository.watch())
            await signals.first
            watching.cancel()
    except RepositoryError as error:
        await front.stop(0)
        raise StartError(str(error)) from None

    log.info("draining", grace_seconds=settings.grace_seconds)
    app.drain()
    stopping = asyncio.create_task(_stop(front, http, settings.grace_seconds))
    await _first_of(stopping, signals.second)
    app.close()
    if stopping.done():
        log.info("stopped")
    else:
        log.warning("stopped at once by a second signal")
    close_logs()
    # Python would wait for threads that still decode images whose callers are gone.
    os._exit(0 if stopping.done() else 1)


def _http_server(app: App, settings: Settings) -> "HttpServer | None":
    if settings.http_port < 0:
        return None
    from service.fronts.http import HttpApp
    from service.fronts.http_server import HttpServer

    return HttpServer(HttpApp(app.methods, app.health, settings, app.snapshot))


async def _stop(front: GrpcioFront, http: "HttpServer | None", grace: float) -> None:
    """Stop the HTTP side last: until then it tells probes that the server is draining."""
    until = time.monotonic() + grace
    await front.stop(grace)
    if http is not None:
        await http.stop(max(0.0, until - time.monotonic()))


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


class _Signals:
    """SIGTERM and SIGINT as futures: the first asks for an end, the second for one at once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[None] = loop.create_future()
        self.second: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received)

    def _received(self) -> None:
        waiting = self.second if self.first.done() else self.first
        if not waiting.done():
            waiting.set_result(None)
