"""A second process: `python -m MODULE` computes for this one, and sends the arrays that it makes through a pipe."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ChildError(RuntimeError):
    """The second process ended too early; the message has its exit code."""


class Child:
    """A second process with the job it was given. It ends with the context, or after this process has ended."""

    def __init__(self, module: str, does: str, job: tuple[Any, ...]) -> None:
        """Start `python -m module`, which calls `compute`; `does` says in an error what the process does."""
        self._does = does
        self._pipe, theirs = Pipe()
        # In its own session, so that Ctrl-C in a terminal reaches this process alone.
        self._process = subprocess.Popen(  # noqa: S603 — the arguments are our own
            [sys.executable, "-P", "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        with suppress(OSError):  # `receive` says that the process has ended
            self._pipe.send(job)

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def receive(self) -> bytes:
        """The bytes of the next array. Raises `ChildError`."""
        try:
            return self._pipe.recv_bytes()
        except (EOFError, OSError):
            code = self._process.wait()
            raise ChildError(f"the process that {self._does} ended, exit code {code}") from None


def compute(make: Callable[..., Iterator[NDArray[Any]]]) -> None:
    """The second process: send each array of `make(*job)`. While the pipe is full it waits, so it is one ahead."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    pipe = Connection(int(sys.argv[1]))
    with threadpool_limits(1), suppress(EOFError, OSError):  # the first process ended
        for made in make(*pipe.recv()):
            pipe.send_bytes(np.ascontiguousarray(made).reshape(-1).view(np.uint8).data)
