"""Image files as bytes -> pixels and warnings, in as many processes as there are cores for it.

Decoding a small image is mostly Python, so threads would block each other. Each process is a plain program that
talks over pipes, imports nothing of the caller's main module, and ends with the caller.
"""

import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from imaging.prepare import ImageError, Prepared
from scoring.chunk import InputError

Prepare = Callable[[bytes], Prepared]
Decoded = Prepared | str
"""Pixels with warnings, or an error message."""

# Fewer images are decoded here in less time than a process needs to start.
_FEW = 1024
# Images that go to a process at once, and such groups in flight for each process.
_GROUP = 64
_AHEAD = 3

# With the import path of the caller, which may have changed it.
_PROGRAM = "import sys; sys.path[:] = {path!r}; from scoring.readers.images.decoding import run_worker; run_worker()"


class Decoder:
    """Decodes images in order; a context manager that ends its processes."""

    def __init__(self, prepare: Prepare, processes: int) -> None:
        """With `processes=1`, or if `prepare` cannot be pickled, this process decodes everything."""
        self._prepare = prepare
        self._processes = processes
        try:
            self._pickled = pickle.dumps(prepare)
        except (pickle.PicklingError, AttributeError, TypeError):
            self._processes = 1
        self._count = 0
        self._pool: ThreadPoolExecutor | None = None
        self._own = threading.local()
        self._programs: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for program in self._programs:
            program.kill()
            program.communicate()

    def decode(self, images: Iterable[bytes]) -> Iterator[Decoded]:
        """The pixels and warnings or the error message of each image, in order. `images` is read slightly ahead."""
        images = iter(images)
        for image in images if self._processes == 1 else islice(images, max(0, _FEW - self._count)):
            self._count += 1
            yield decode_image(self._prepare, image)
        flying: deque[Future[list[Decoded]]] = deque()
        while group := list(islice(images, _GROUP)):
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._processes, thread_name_prefix="decode")
            flying.append(self._pool.submit(self._ask, group))
            if len(flying) >= _AHEAD * self._processes:
                yield from flying.popleft().result()
        while flying:
            yield from flying.popleft().result()

    def _ask(self, group: list[bytes]) -> list[Decoded]:
        """Decode a group by the process of this thread."""
        program: subprocess.Popen[bytes] | None = getattr(self._own, "program", None)
        if program is None:
            program = subprocess.Popen(  # noqa: S603 this very interpreter
                [sys.executable, "-c", _PROGRAM.format(path=sys.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            self._programs.append(program)
            self._own.program = program
            cast("BinaryIO", program.stdin).write(self._pickled)
        try:
            pickle.dump(group, cast("BinaryIO", program.stdin))
            cast("BinaryIO", program.stdin).flush()
            return cast("list[Decoded]", pickle.load(cast("BinaryIO", program.stdout)))  # noqa: S301 from our own end
        except (OSError, EOFError, pickle.UnpicklingError):
            raise InputError(f"a process that decodes images ended with exit code {program.wait()}") from None


def decode_image(function: Prepare, image: bytes) -> Decoded:
    """The pixels and warnings or the error message of one image."""
    try:
        return function(image)
    except ImageError as error:
        return str(error)


def run_worker() -> None:
    """Main function of a decoding process: reads a function, then groups of images, from stdin; answers on stdout."""
    import os
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller handles it and closes the pipe
    questions = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keep output of decoders out of the answers
    function: Any = pickle.load(questions)  # noqa: S301 from our own end
    while True:
        try:
            group = pickle.load(questions)  # noqa: S301 from our own end
        except EOFError:
            return
        try:
            pickle.dump([decode_image(function, image) for image in group], answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:
            os._exit(1)
