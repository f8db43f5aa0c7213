"""A worker process as its supervisor has it."""

import asyncio
import os
import signal
import socket
from contextlib import suppress
from typing import Any, Self

from service.config import Settings, variables
from service.observe.logs import log
from service.runtime.cores import SHARE
from service.workers.channel import Answer, Channel, ChannelClosed
from service.workers.environment import NUMBER, SOCKET
from service.workers.program import Program

# How long after the grace time a worker may take to end before it is killed, in seconds.
END_SECONDS = 5.0


class Worker:
    """Runs until it ends by itself, is told to, or is killed."""

    def __init__(self, number: int, program: Program, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.number = number
        self.channel = channel
        self.served: dict[str, Any] | None = None
        """What it says it serves; None until it does."""
        self.failure = ""
        """Why it says it cannot start."""
        self._program = program
        self._process = process

    @classmethod
    async def start(cls, number: int, program: Program, settings: Settings, cores: int, answer: Answer) -> Self:
        """Start worker `number` on `cores` cores; `answer` is what its messages are answered by."""
        ours, theirs = socket.socketpair()
        with theirs:
            command, extra = program.command(settings)
            own = {NUMBER: str(number), SOCKET: str(theirs.fileno()), SHARE: str(cores)}
            process = await asyncio.create_subprocess_exec(
                *command,
                env=os.environ | variables(settings) | own | extra,
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the supervisor
            )
        return cls(number, program, process, await Channel.open(ours, answer))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def wait(self) -> dict[str, Any]:
        """Wait for its end; how that came, for the log: `exit_code` or `signal`."""
        code = await self._process.wait()
        await self.channel.closed  # and so everything that it told was read
        return {"exit_code": code} if code >= 0 else {"signal": signal.Signals(-code).name}

    async def end(self, grace: float) -> None:
        """Let its calls end within `grace` seconds, and then the process."""
        try:
            async with asyncio.timeout(grace + END_SECONDS):
                with suppress(ChannelClosed):
                    await self.channel.tell("drain", grace=grace)
                await self._program.drain(grace)
                with suppress(ProcessLookupError):
                    self._process.terminate()
                await self._process.wait()
        except TimeoutError:
            log.warning("worker killed, it did not end", worker=self.number, pid=self.pid)
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()
