"""A worker's end of the channel to its supervisor."""

import asyncio
import os
import socket
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any, Protocol, Self

from engine.errors import NotReady, ServiceError, rebuild_error
from service.api.method import Mutation
from service.telemetry.logs import log
from service.telemetry.metrics import Snapshot
from service.workers.environment import NUMBER, SOCKET
from service.workers.ipc import ChannelClosed, Content, IpcConnection

# How often a worker tells what it has counted, unasked: so much is lost of one that is killed.
TELL_SECONDS = 1.0
# How long a worker that ends waits for the others to listen no more.
UNHEARD_SECONDS = 3.0


class Work(Protocol):
    """What a worker does when its supervisor asks; `service.app.App` is it."""

    async def run(self, path: str, request: bytes) -> bytes:
        """Do a unary RPC in this process alone; raises what its handler does."""

    def snapshot(self) -> Snapshot:
        """What this process has counted, and how things stand."""


class SupervisorLink:
    """The siblings of an app, reached by way of the supervisor."""

    def __init__(self, number: int) -> None:
        self.number = number
        """Of this worker, from 1."""
        self.shutdown_requested: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        """Done when the worker shall end: with the grace time in seconds, or None when the supervisor is gone."""
        self._channel: IpcConnection
        self._work: Work
        self._telling: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls) -> Self:
        """By the variables that the supervisor has set."""
        control = cls(int(os.environ[NUMBER]))
        control._channel = await IpcConnection.open(socket.socket(fileno=int(os.environ[SOCKET])), control._answer)
        control._channel.closed.add_done_callback(lambda _: control.end())
        return control

    async def join(self, work: Work) -> None:
        """Become one of the workers: from now on `work`, its models loaded, does as the others are told.

        What was changed before is done when this returns. Raises `ChannelClosed`.
        """
        self._work = work
        await self._channel.ask("join")
        self._telling = asyncio.create_task(self._tell_counted())

    async def serving(self, **state: Any) -> None:
        """Tell that calls are accepted; `state` is for the log. Raises `ChannelClosed`."""
        await self._channel.tell("serving", **state)

    async def stopped_listening(self) -> None:
        """Tell that this worker listens no more, and wait, when all are told to end, until that is so of all."""
        with suppress(ChannelClosed, TimeoutError):
            async with asyncio.timeout(UNHEARD_SECONDS):
                await self._channel.ask("unheard")

    async def leave(self) -> None:
        """Tell what was counted to the end."""
        if self._telling is not None:
            self._telling.cancel()
            with suppress(ChannelClosed):
                await self._channel.tell("counted", snapshot=self._work.snapshot())

    async def failed(self, reason: str) -> None:
        """Tell why this worker cannot start."""
        with suppress(ChannelClosed):
            await self._channel.tell("failed", reason=reason)

    async def change(self, path: str, request: bytes, change: Mutation) -> bytes:
        """Let every worker do an RPC; see `Broadcast`."""
        try:
            answer = await self._channel.ask(
                "change",
                path=path,
                request=b64encode(request).decode(),
                key=change.key,
                replay=change.replay,
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

    async def _tell_counted(self) -> None:
        told = None
        with suppress(ChannelClosed):
            while True:
                await asyncio.sleep(TELL_SECONDS)
                snapshot = self._work.snapshot()
                if snapshot != told:
                    await self._channel.tell("counted", snapshot=snapshot)
                    told = snapshot

    def end(self, grace: float | None = None) -> None:
        """Request shutdown. Idempotent."""
        if not self.shutdown_requested.done():
            self.shutdown_requested.set_result(grace)
