"""`digits serve`: startup, serving until a signal, shutdown."""

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import onnxruntime

from service.api.health import SERVING
from service.app import App
from service.config import Settings
from service.fronts.grpcio_front import GrpcioFront, ListenError
from service.observe.logs import configure_logs, log
from service.runtime.repository import RepositoryError


class StartError(Exception):
    """The server cannot start; the message says why in one sentence."""


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code: 0, or 1 when a second signal cut the end short.

    Raises `StartError`.
    """
    configure_logs(settings.log_level, settings.log_format)
    return _run(_serve(settings))


def _run(main: Coroutine[Any, Any, int]) -> int:
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


async def _serve(settings: Settings) -> int:
    signals = _Signals()
    try:
        app = App(settings)
        front = GrpcioFront(app.methods, max_message_bytes=settings.max_message_bytes)
        port = await front.start(settings.host, settings.port)
    except (RepositoryError, ListenError) as error:
        raise StartError(str(error)) from None
    log.info("listening", host=settings.host, port=port, onnxruntime=onnxruntime.__version__)

    loading = asyncio.create_task(app.load())
    await _first_of(loading, signals.first)
    try:
        if loading.done():
            await loading
            gc.collect()
            gc.freeze()  # what was loaded stays: the collector need not look through it again and again
            ready = app.health.status("") == SERVING
            log.info("serving", host=settings.host, port=port, default_model=app.repository.default_model, ready=ready)
            watching = asyncio.create_task(app.repository.watch())
            await signals.first
            watching.cancel()
    except RepositoryError as error:
        await front.stop(0)
        raise StartError(str(error)) from None

    log.info("draining", grace_seconds=settings.grace_seconds)
    app.drain()
    stopping = asyncio.create_task(front.stop(settings.grace_seconds))
    await _first_of(stopping, signals.second)
    app.close()
    if not stopping.done():
        log.warning("stopped at once by a second signal")
        return 1
    log.info("stopped")
    return 0


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
