"""A worker's end of the channel to its supervisor."""

import asyncio
import os
import socket
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any, Protocol, Self

from structlog.contextvars import bound_contextvars, get_contextvars

from engine.errors import NotReady, ServiceError, rebuild_error
from service.api.method import Mutation
from service.telemetry.logs import log
from service.telemetry.metrics import Snapshot
from service.workers.environment import NUMBER, SOCKET
from service.workers.ipc import ChannelClosed, Content, IpcConnection

# Seconds between two reports of a worker's counters: a killed worker loses at most that much.
REPORT_SECONDS = 1.0
# Seconds that a worker waits at shutdown for the others to stop listening.
STOP_LISTENING_SECONDS = 3.0


class Work(Protocol):
    """What the supervisor asks of a worker; `service.app.App` implements it."""

    async def run(self, path: str, request: bytes) -> bytes:
        """Run a unary RPC in this process alone; raises the errors of its handler."""

    def snapshot(self) -> Snapshot:
        """What this process has counted, and how things stand."""


class SupervisorLink:
    """The other workers, reached through the supervisor."""

    def __init__(self, number: int) -> None:
        self.number = number
        """Number of this worker, from 1."""
        self.shutdown_requested: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        """Done when shutdown is requested: the grace time in seconds, or None when the supervisor is gone."""
        self._channel: IpcConnection
        self._work: Work
        self._telling: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls) -> Self:
        """Open the channel that the environment names, see `service.workers.environment`."""
        control = cls(int(os.environ[NUMBER]))
        control._channel = await IpcConnection.open(socket.socket(fileno=int(os.environ[SOCKET])), control._answer)
        control._channel.closed.add_done_callback(lambda _: control.end())
        return control

    async def join(self, work: Work) -> None:
        """Join the workers: from now on `work`, whose models are loaded, runs the changes that all workers run.

        Earlier changes were replayed when this returns. Raises `ChannelClosed`.
        """
        self._work = work
        await self._channel.ask("join")
        self._telling = asyncio.create_task(self._report_counters())

    async def serving(self, **state: Any) -> None:
        """Report that calls are accepted; `state` is for the log. Raises `ChannelClosed`."""
        await self._channel.tell("serving", **state)

    async def stopped_listening(self) -> None:
        """Report that this worker has stopped listening; when all shut down, wait until all have."""
        with suppress(ChannelClosed, TimeoutError):
            async with asyncio.timeout(STOP_LISTENING_SECONDS):
                await self._channel.ask("stopped_listening")

    async def leave(self) -> None:
        """Report the final counters."""
        if self._telling is not None:
            self._telling.cancel()
            with suppress(ChannelClosed):
                await self._channel.tell("counted", snapshot=self._work.snapshot())

    async def failed(self, reason: str) -> None:
        """Report why this worker cannot start."""
        with suppress(ChannelClosed):
            await self._channel.tell("failed", reason=reason)

    async def change(self, path: str, request: bytes, change: Mutation) -> bytes:
        """Run an RPC in every worker; see `Broadcast`."""
        try:
            answer = await self._channel.ask(
                "change",
                path=path,
                request=b64encode(request).decode(),
                key=change.key,
                replay=change.replay,
                ids=get_contextvars(),
            )
        except ChannelClosed:
            raise NotReady("the server is draining") from None
        if "error" not in answer:
            return b64decode(answer["response"])
        if not answer["error"]:
            raise RuntimeError(f"{path} failed in a worker, see its log")
        raise rebuild_error(*answer["error"])

    async def totals(self) -> Snapshot:
        """What all workers have counted; what this one has when the supervisor is gone. See `Broadcast`."""
        try:
            return await self._channel.ask("totals")
        except ChannelClosed:
            return self._work.snapshot()

    async def _answer(self, what: str, content: Content) -> Content | None:
        if what == "run":
            with bound_contextvars(**content["ids"]):
                return await self._run(content["path"], b64decode(content["request"]))
        if what == "snapshot":
            return self._work.snapshot()
        if what == "alive":
            return None
        if what == "drain":
            self.end(content["grace"])
            return None
        raise ValueError(what)

    async def _run(self, path: str, request: bytes) -> Content:
        try:
            return {"response": b64encode(await self._work.run(path, request)).decode()}
        except ServiceError as error:
            return {"error": [type(error).__name__, *error.args]}
        except Exception as error:
            log.error("call failed", method=path, exc_info=error)
            return {"error": []}

    async def _report_counters(self) -> None:
        told = None
        with suppress(ChannelClosed):
            while True:
                await asyncio.sleep(REPORT_SECONDS)
                snapshot = self._work.snapshot()
                if snapshot != told:
                    await self._channel.tell("counted", snapshot=snapshot)
                    told = snapshot

    def end(self, grace: float | None = None) -> None:
        """Request shutdown. Idempotent."""
        if not self.shutdown_requested.done():
            self.shutdown_requested.set_result(grace)
