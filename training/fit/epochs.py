"""The images of each epoch, warped anew; where that takes long, in a second process while a first one learns.

`python -m training.fit.epochs` with the number of an open pipe is that second process.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from training.data.augment import Distortion, Warp, augmented

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
    if not isinstance(warp, Distortion):
        yield _made(images, warp, rows, cols, seed, epochs)
        return
    pipe, theirs = Pipe()
    # A session of its own, for Ctrl-C in a terminal shall end the epoch under way and not what it waits for.
    process = subprocess.Popen(  # noqa: S603 — the arguments are our own
        [sys.executable, "-P", "-m", "training.fit.epochs", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()

    def received() -> Iterator[Images]:
        try:
            pipe.send((images, warp, rows, cols, seed, epochs))
            for _ in epochs:
                yield np.frombuffer(pipe.recv_bytes(), np.float32).reshape(images.shape)
        except (EOFError, OSError):
            raise EpochError(f"the process that distorts the images ended, exit code {process.wait()}") from None

    try:
        yield received()
    finally:
        pipe.close()
        process.kill()
        process.wait()


def _made(
    images: Images, warp: Warp | Distortion | None, rows: int, cols: int, seed: int, epochs: range
) -> Iterator[Images]:
    for epoch in epochs:
        if warp is None:
            yield images
        else:
            yield augmented(images, warp, rows=rows, cols=cols, random=np.random.default_rng([seed, epoch, 1]))


def _send_all(pipe: Connection) -> None:
    """Answer the one job that comes; the pipe is full while nobody reads, so it is one epoch ahead and no more."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        try:
            for made in _made(*pipe.recv()):
                pipe.send_bytes(made.data)
        except (EOFError, OSError):  # the first process is gone
            return


if __name__ == "__main__":
    _send_all(Connection(int(sys.argv[1])))
