"""System shared memory between a job and a server on the same host: what calls would carry lies there instead."""

import mmap
import os
import secrets
from contextlib import suppress
from pathlib import Path

import numpy as np
from digits_client import InvalidInput, ServerError
from digits_client.channel import Deadline
from digits_client.errors import DigitsError
from digits_client.inference import InferenceClient, Window
from numpy.typing import NDArray

# Where Linux keeps POSIX shared-memory objects: `shm_open("/x")` opens the file `x` in it.
FOLDER = Path("/dev/shm")  # noqa: S108 - not for temporary files
# Values of different kinds and lanes begin at a multiple of a cache line.
_LINE = 64
# How long a server is asked to forget a region, seconds; one that is that slow keeps it until the job comes again.
_FORGET_SECONDS = 1.0


class SharedRegion:
    """One object, registered with the server, with a place for one call of each lane.

    Nobody else finds the object: its name is gone as soon as the server has opened it, so it lasts as long as
    somebody has it open.
    """

    def __init__(self, name: str, memory: mmap.mmap, lanes: int, rows: int, features: int, classes: int) -> None:
        self.name = name
        """What requests call it."""
        sizes = _sizes(rows, features, classes)
        self._lanes = []
        for lane in range(lanes):
            at = lane * sum(sizes)
            window = Window(name, at, at + sizes[0], at + sizes[0] + sizes[1])
            pixels = np.frombuffer(memory, np.uint8, rows * features, window.pixels).reshape(rows, features)
            labels = np.frombuffer(memory, "<i8", rows, window.labels)
            scores = np.frombuffer(memory, "<f4", rows * classes, window.scores).reshape(rows, classes)
            self._lanes.append((window, pixels, labels, scores))

    def put(self, lane: int, pixels: NDArray[np.uint8]) -> Window:
        """Lay down the pixels of a call; tells where."""
        window, place, _, _ = self._lanes[lane]
        place[: len(pixels)] = pixels
        return window

    def take(self, lane: int, digits: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Take what the server wrote for the rows that were put."""
        _, _, labels, place = self._lanes[lane]
        digits[:], scores[:] = labels[: len(digits)], place[: len(scores)]

    def close(self, client: InferenceClient) -> None:
        """Let the server forget it, if it can be reached."""
        with suppress(DigitsError):  # it went away, and what it had open went with it
            client.unregister(self.name, deadline=Deadline(_FORGET_SECONDS, client.place))


def share(
    client: InferenceClient,
    prefix: str,
    job: str,
    lanes: int,
    rows: int,
    features: int,
    classes: int,
    *,
    deadline: Deadline,
) -> SharedRegion | None:
    """A region that the server has open; None where it cannot or may not, or there is no room.

    What an earlier run of the same `job` left open, since it was killed, is let go of. Raises a `DigitsError` when
    the server cannot be reached, or has not done all this by the `deadline`.
    """
    stem = f"{prefix.removeprefix('/')}{job}-"
    name = stem + secrets.token_hex(8)
    size = lanes * sum(_sizes(rows, features, classes))
    try:
        memory = _create(FOLDER / name, size)
    except OSError:
        return None
    try:
        for left in client.regions(deadline=deadline) if job else ():
            if left.startswith(stem):
                client.unregister(left, deadline=deadline)
        client.register(name, f"/{name}", size, deadline=deadline)
    except (InvalidInput, ServerError):  # it is on another host, or was not told to share any
        return None
    finally:
        (FOLDER / name).unlink(missing_ok=True)
    return SharedRegion(name, memory, lanes, rows, features, classes)


def _create(path: Path, size: int) -> mmap.mmap:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)  # or a write to it could kill the process later
        return mmap.mmap(descriptor, size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _sizes(rows: int, features: int, classes: int) -> tuple[int, int, int]:
    """Bytes of pixels, labels and scores in a lane, each up to a whole line."""

    def whole(size: int) -> int:
        return -(-size // _LINE) * _LINE

    return whole(rows * features), whole(8 * rows), whole(4 * rows * classes)
