"""Keeps several worker processes on one port: starts them, restarts them, drains them together.

It imports no runtime, no transport and no API, so it stays small, and no request can bring it down.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from engine.cpus import usable_cores
from service.config import Settings, flag
from service.signals import Signals, StartError, first_of
from service.telemetry.logs import log
from service.transports.sockets import ListenError, hold, page_address
from service.workers.handle import Worker
from service.workers.ipc import Content
from service.workers.launcher import Launcher, PythonProgram
from service.workers.pool import WorkerPool

# The settings of the ports that all workers share; -1: none.
PORTS = ("port", "http_port")


class Backoff:
    """The pause before a worker is started again: none the first time, then doubled each time."""

    FIRST_SECONDS = 0.5
    MOST_SECONDS = 30.0
    STEADY_SECONDS = 60.0
    """A worker that ran this long counts as healthy, which resets the pause."""

    def __init__(self) -> None:
        self._ends = 0

    def seconds(self, ran: float) -> float:
        """The pause in seconds, for a worker that ended after it `ran` seconds."""
        if ran >= self.STEADY_SECONDS:
            self._ends = 0
        self._ends += 1
        return 0.0 if self._ends == 1 else min(self.FIRST_SECONDS * 2.0 ** (self._ends - 2), self.MOST_SECONDS)


class Supervisor:
    """The workers of one server."""

    def __init__(
        self, settings: Settings, workers: int, program: Callable[[int], Launcher] = lambda number: PythonProgram()
    ) -> None:
        """Run `workers` processes; `program(number)` makes the launcher for each start of a worker."""
        self._settings = settings
        self._count = workers
        self._program = program
        self._cores = max(usable_cores() // workers, 1)
        self._workers: dict[int, Worker] = {}
        self._draining = False
        self._listening: set[int] = set()
        """While draining: the workers that have not reported that they stopped listening."""

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code, 1 if a second signal cut the shutdown short.

        Raises `StartError` when a port is taken, or when a worker ends before it has served for the first time.
        """
        signals = Signals()
        self._pool = WorkerPool()
        self._none_listens = asyncio.Event()
        self._all_serve: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        with ExitStack() as stack:
            ports = self._hold(stack)
            settings = self._settings.model_copy(update=ports)
            keepers = [asyncio.create_task(self._keep(number, settings)) for number in range(1, self._count + 1)]
            keeping = asyncio.gather(*keepers)
            try:
                await first_of(self._all_serve, keeping, signals.first)
                if self._all_serve.done():
                    address = {"host": settings.host, **dict.fromkeys(PORTS), **ports}
                    log.info("listening", **address)
                    page = page_address(settings.host, ports.get("http_port"), tls=bool(settings.tls_cert))
                    log.info("serving", page=page, **address, **self._all_serve.result(), workers=self._count)
                    await first_of(keeping, signals.first)
                if keeping.done():  # only by an error
                    await keeping
                return await self._drain(signals.second)
            finally:
                for keeper in keepers:
                    keeper.cancel()
                for worker in self._workers.values():
                    worker.kill()
                await asyncio.gather(
                    keeping, *(worker.wait() for worker in self._workers.values()), return_exceptions=True
                )

    def _hold(self, stack: ExitStack) -> dict[str, int]:
        """Reserve the ports for the workers; returns them by the names of their settings."""
        wanted = {name: getattr(self._settings, name) for name in PORTS}
        try:
            held = {
                name: stack.enter_context(hold(self._settings.host, port, flag(name)))
                for name, port in wanted.items()
                if port >= 0
            }
        except ListenError as error:
            raise StartError(str(error)) from None
        return {name: each.getsockname()[1] for name, each in held.items()}

    async def _keep(self, number: int, settings: Settings) -> None:
        """Start a worker, and start it again whenever it ends."""
        backoff = Backoff()
        served = False
        while not self._draining:
            began = time.monotonic()
            try:
                worker = await self._start(number, settings)
            except OSError as error:  # no memory, processes or files left
                how = {"reason": f"it cannot be started: {error}"}
            else:
                watching = asyncio.create_task(worker.watch())
                how = await worker.wait()
                watching.cancel()
                served = served or worker.served is not None
                self._pool.leave(number)
                del self._workers[number]
                self._stopped_listening(number)
            if self._draining:
                return
            if not served:
                said = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in how.items())
                raise StartError(how.get("reason") or f"worker {number} ended before it served, {said}")
            pause = backoff.seconds(time.monotonic() - began)
            log.error("worker ended", worker=number, **how, restart_seconds=pause)
            await asyncio.sleep(pause)

    async def _start(self, number: int, settings: Settings) -> Worker:
        async def answer(what: str, content: Content) -> Content | None:
            return await self._answer(self._workers[number], what, content)

        worker = await Worker.start(number, self._program(number), settings, self._cores, answer)
        self._workers[number] = worker
        if self._draining:
            worker.kill()
        return worker

    async def _answer(self, worker: Worker, what: str, content: Content) -> Content | None:
        """Handle a message of a worker."""
        if what == "change":
            return await self._pool.change(**content)
        if what == "totals":
            return await self._pool.totals()
        if what == "counted":
            self._pool.counted(worker.number, content["snapshot"])
        elif what == "join":
            await self._pool.join(worker.number, worker.channel)
        elif what == "serving":
            worker.served = content
            serving = [each.served for each in self._workers.values() if each.served is not None]
            if len(serving) == self._count and not self._all_serve.done():
                ready = all(each["ready"] for each in serving)
                self._all_serve.set_result(serving[0] | {"ready": ready})
        elif what == "stopped_listening":
            self._stopped_listening(worker.number)
            if self._draining:
                await self._none_listens.wait()
        elif what == "failed":
            worker.failure = content["reason"]
        return None

    def _stopped_listening(self, number: int) -> None:
        self._listening.discard(number)
        if self._draining and not self._listening:
            self._none_listens.set()

    async def _drain(self, second: asyncio.Future[None]) -> int:
        log.info("draining", grace_seconds=self._settings.grace_seconds)
        self._draining = True
        self._listening = set(self._workers)
        ending = asyncio.gather(*(worker.end(self._settings.grace_seconds) for worker in self._workers.values()))
        await first_of(ending, second)
        if not ending.done():
            ending.cancel()
            log.warning("stopped at once by a second signal")
            return 1
        await ending
        log.info("stopped")
        return 0
