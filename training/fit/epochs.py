"""The augmented images of each epoch. Slow augmentation runs in a second process while the first one fits.

`python -m training.fit.epochs` with the file descriptor of a pipe is that second process.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from training.data.augment import Distortion, SharedDistortion, augment
from training.data.strokes import StrokeChanges, change_strokes

FloatImages = NDArray[np.float32]


class EpochError(RuntimeError):
    """The second process ended too early; the message has its exit code."""


@contextmanager
def epoch_images(
    images: FloatImages,
    distortion: SharedDistortion | Distortion | None,
    *,
    rows: int,
    cols: int,
    seed: int,
    epochs: range,
    strokes: StrokeChanges | None = None,
    pixel_max: int = 255,
) -> Iterator[Iterator[FloatImages]]:
    """An iterator over `epochs` of the augmented `images`, float32 [N, rows*cols] in 0..pixel_max.

    The random numbers of an epoch depend only on `seed` and the epoch. Per-image changes, a `Distortion` and then
    `strokes`, are computed one epoch ahead in a second process, which ends with the context or with this process. If
    it ends earlier, the iterator raises `EpochError`.
    """
    if not isinstance(distortion, Distortion) and strokes is None:
        yield _augmented_images(images, distortion, rows, cols, seed, epochs, strokes, pixel_max)
        return
    pipe, theirs = Pipe()
    # In its own session, so that Ctrl-C in a terminal does not end it before the current epoch is finished.
    process = subprocess.Popen(  # noqa: S603 — the arguments are our own
        [sys.executable, "-P", "-m", "training.fit.epochs", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()

    def receive() -> Iterator[FloatImages]:
        try:
            pipe.send((images, distortion, rows, cols, seed, epochs, strokes, pixel_max))
            for _ in epochs:
                yield np.frombuffer(pipe.recv_bytes(), np.float32).reshape(images.shape)
        except (EOFError, OSError):
            raise EpochError(f"the process that distorts the images ended, exit code {process.wait()}") from None

    try:
        yield receive()
    finally:
        pipe.close()
        process.kill()
        process.wait()


def _augmented_images(
    images: FloatImages,
    distortion: SharedDistortion | Distortion | None,
    rows: int,
    cols: int,
    seed: int,
    epochs: range,
    strokes: StrokeChanges | None,
    pixel_max: int,
) -> Iterator[FloatImages]:
    for epoch in epochs:
        made = images
        if distortion is not None:
            made = augment(images, distortion, rows=rows, cols=cols, random=np.random.default_rng([seed, epoch, 1]))
        if strokes is not None:
            random = np.random.default_rng([seed, epoch, 2])
            made = change_strokes(made, strokes, rows=rows, cols=cols, pixel_max=pixel_max, random=random)
        yield made


def _send_all(pipe: Connection) -> None:
    """Process the one job from the pipe. The pipe blocks while it is full, so this process is one epoch ahead."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        try:
            for made in _augmented_images(*pipe.recv()):
                pipe.send_bytes(made.data)
        except (EOFError, OSError):  # the first process ended
            return


if __name__ == "__main__":
    _send_all(Connection(int(sys.argv[1])))
