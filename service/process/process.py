"""One process that answers calls: the app and its transport, alone or as one of several workers."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, Protocol

import onnxruntime

from engine.models.repository import RepositoryError
from service.api.health import SERVING
from service.api.middleware.auth import Guard, TokenError
from service.api.middleware.broadcast import Broadcast
from service.app import App
from service.config import Settings
from service.process.malloc import keep_trimmed, trim
from service.signals import StartError
from service.telemetry.logs import close_logs
from service.telemetry.tracing import TracingError
from service.transports.sockets import ListenError
from service.transports.tls import Certificates, TlsError


class Transport(Protocol):
    """How calls reach the app of one process."""

    async def start(self) -> dict[str, int | None]:
        """Accept calls; returns the ports by the names of their settings. Raises `ListenError`."""

    async def stop(self, grace: float, stopped_listening: Callable[[], Awaitable[None]] | None) -> None:
        """Refuse new calls, and return once those whose handler was entered ended, after `grace` seconds at most.

        Where other processes listen on the port, `stopped_listening` waits until none of them does.
        """


NewTransport = Callable[[App, Certificates | None], Transport]


class Process:
    """Its steps, each of which raises `StartError` when the server cannot start."""

    def __init__(self, settings: Settings, new_transport: NewTransport, broadcast: Broadcast | None = None) -> None:
        """Find the models; `broadcast` reaches the other processes of the server, if there are any."""
        try:
            certificates = Certificates.of(settings)
            self.app = App(settings, broadcast, Guard.of(settings))
        except (RepositoryError, TlsError, TokenError, TracingError) as error:
            raise StartError(str(error)) from None
        self._transport = new_transport(self.app, certificates)
        self._watching: list[asyncio.Task[None]] = []

    async def load(self) -> None:
        """Load the models, and follow the models folder if the settings say so."""
        try:
            await self.app.load()
        except RepositoryError as error:
            raise StartError(str(error)) from None
        gc.collect()
        gc.freeze()  # the loaded models stay: the collector need not look through them again and again
        trim()  # loading leaves tens of megabytes
        self._watching = [asyncio.create_task(each) for each in (self.app.repository.watch(), keep_trimmed())]

    async def listen(self) -> dict[str, int | None]:
        """Accept calls; returns the ports by the names of their settings."""
        try:
            return await self._transport.start()
        except ListenError as error:
            raise StartError(str(error)) from None

    def state(self) -> dict[str, Any]:
        """What it serves, for the log."""
        return {
            "default_model": self.app.repository.default_model,
            "ready": self.app.health.status("") == SERVING,
            "onnxruntime": onnxruntime.__version__,
        }

    async def stop(self, grace: float, stopped_listening: Callable[[], Awaitable[None]] | None = None) -> None:
        """Refuse new calls, let those whose handler was entered end within `grace` seconds, and close the app."""
        for task in self._watching:
            task.cancel()
        self.app.drain()
        await self._transport.stop(grace, stopped_listening)
        self.app.close()


def run_and_exit(main: Coroutine[Any, Any, int]) -> NoReturn:
    """Run `main` on uvloop, and end the process with the exit code that it returns."""

    async def exiting() -> NoReturn:
        code = await main
        close_logs()
        # Python would wait for threads that still decode images of callers that are gone.
        os._exit(code)

    import uvloop  # Envoy has an event loop of its own

    uvloop.run(exiting())
    raise AssertionError("it exits")
