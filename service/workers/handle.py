"""A worker process, as its supervisor sees it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from engine.cpus import SHARE
from service.config import Settings, variables
from service.telemetry.logs import log
from service.workers.environment import NUMBER, SOCKET
from service.workers.ipc import Answer, AnswerFailed, ChannelClosed, IpcConnection
from service.workers.launcher import Launcher

# Seconds after the grace time before a worker that has not ended is killed.
END_SECONDS = 5.0
# Seconds between two liveness checks, and the timeout of one.
CHECK_SECONDS = 2.0
HUNG_SECONDS = 20.0


class Worker:
    """Starts the process, watches it, and ends it."""

    def __init__(
        self, number: int, program: Launcher, process: subprocess.Popen[bytes], channel: IpcConnection
    ) -> None:
        self.number = number
        self.channel = channel
        self.served: dict[str, Any] | None = None
        """The state that it reported when it began to serve; None before."""
        self.failure = ""
        """The reason that it reported for a failed start."""
        self._program = program  # owns what the process uses, such as a temporary folder
        self._process = process
        self._ended = asyncio.Event()
        # asyncio's subprocesses have a race between reaping and signalling a process that ends.
        threading.Thread(target=self._reap, args=[asyncio.get_running_loop()], daemon=True).start()

    @classmethod
    async def start(cls, number: int, program: Launcher, settings: Settings, cores: int, answer: Answer) -> Self:
        """Start worker `number` on `cores` cores; `answer` handles its messages.

        Raises `OSError` if the system cannot start another process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            command, extra, folder = program.command(settings)
            own = {NUMBER: str(number), SOCKET: str(theirs.fileno()), SHARE: str(cores)}
            process = _started(command, variables(settings) | own | extra, folder, theirs)
        return cls(number, program, process, await IpcConnection.open(ours, answer))

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    async def wait(self) -> dict[str, Any]:
        """Wait for its end; returns `exit_code` or `signal`, and the reported `reason` if there is one."""
        await self._ended.wait()
        await asyncio.wait([self.channel.closed])  # all its messages were read
        code = self._process.returncode
        how = {"exit_code": code} if code >= 0 else {"signal": signal.Signals(-code).name}
        return {"pid": self.pid, **how, **({"reason": self.failure} if self.failure else {})}

    async def watch(self) -> None:
        """Kill the process when it hangs: the other workers would wait for it."""
        with suppress(ChannelClosed, AnswerFailed):
            while True:
                await asyncio.sleep(CHECK_SECONDS)
                try:
                    async with asyncio.timeout(HUNG_SECONDS):
                        await self.channel.ask("alive")
                except TimeoutError:
                    log.error("worker killed, it does not answer", worker=self.number, pid=self.pid)
                    self.kill()
                    return

    async def end(self, grace: float) -> None:
        """Request shutdown within `grace` seconds; kill the process if it takes `END_SECONDS` more."""
        try:
            async with asyncio.timeout(grace + END_SECONDS):
                with suppress(ChannelClosed):
                    await self.channel.tell("drain", grace=grace)
                await self._ended.wait()
        except TimeoutError:
            log.warning("worker killed, it did not end", worker=self.number, pid=self.pid)
            self.kill()

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        self._process.wait()
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._ended.set)


def _started(
    command: list[str], variables: dict[str, str], folder: Path | None, inherited: socket.socket
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the command is from a `Launcher`
        command,
        cwd=folder,
        env=os.environ | variables,
        pass_fds=[inherited.fileno()],
        stdin=subprocess.DEVNULL,
        stderr=None if sys.stderr is not None else subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the supervisor
    )
