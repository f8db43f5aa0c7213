"""The images of each epoch, warped anew; where that takes long, in a second process while a first one learns."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from signal import SIG_IGN, SIGINT, signal

import numpy as np
from numpy.typing import NDArray

from training.augment import Distortion, Warp, warped

Images = NDArray[np.float32]


class EpochError(RuntimeError):
    """The second process ended before its time; the message says how."""


@contextmanager
def epoch_images(
    images: Images, warp: Warp | Distortion | None, *, rows: int, cols: int, seed: int, epochs: range
) -> Iterator[Iterator[Images]]:
    """Gives an iterator: for each of `epochs` what `images` float32 [N, rows*cols] are then.

    Each epoch's random numbers depend on `seed` and the epoch alone. A `Distortion` is made one epoch ahead in
    a second process, which ends with the context or with this process; the iterator raises `EpochError` when
    it ends by itself.
    """
    made = _made(images, warp, rows, cols, seed, epochs)
    if not isinstance(warp, Distortion):
        yield made
        return
    # A fork would take along whatever threads hold; a process of its own has nothing of the kind.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_send, args=(theirs, images, warp, rows, cols, seed, epochs), name="distortion", daemon=True
    )
    process.start()
    theirs.close()

    def received() -> Iterator[Images]:
        for epoch in epochs:
            try:
                sent = ours.recv_bytes()
            except (EOFError, OSError):
                process.join()
                raise EpochError(
                    f"the process that distorts the images ended in epoch {epoch + 1}, exit code {process.exitcode}"
                ) from None
            yield np.frombuffer(sent, np.float32).reshape(images.shape)

    try:
        yield received()
    finally:
        ours.close()
        process.terminate()
        process.join()


def _made(
    images: Images, warp: Warp | Distortion | None, rows: int, cols: int, seed: int, epochs: range
) -> Iterator[Images]:
    for epoch in epochs:
        if warp is None:
            yield images
        else:
            yield warped(images, warp, rows=rows, cols=cols, random=np.random.default_rng([seed, epoch, 1]))


def _send(pipe: Connection, images: Images, warp: Distortion, rows: int, cols: int, seed: int, epochs: range) -> None:
    """The second process: the pipe is full while nobody reads, so it is never more than an epoch ahead."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    signal(SIGINT, SIG_IGN)  # Ctrl-C reaches both; the first process ends its epoch and then this one
    with threadpool_limits(1):
        for made in _made(images, warp, rows, cols, seed, epochs):
            try:
                pipe.send_bytes(made.data)
            except OSError:  # the first process is gone
                return
