"""System shared memory between a job and a server on the same host, which carries pixels and scores instead of gRPC."""

import mmap
import os
import secrets
from contextlib import suppress
from pathlib import Path

import numpy as np
from digits_client import InvalidInput, ServerError
from digits_client.connection.channel import Deadline
from digits_client.errors import DigitsError
from digits_client.inference import InferenceClient, Window
from numpy.typing import NDArray

# Where Linux keeps POSIX shared-memory objects: `shm_open("/x")` opens the file `x` in it.
FOLDER = Path("/dev/shm")  # noqa: S108 - not for temporary files
# Arrays begin at a multiple of a cache line, in bytes.
_CACHE_LINE = 64
# Deadline for unregistering a region, seconds; a server that misses it keeps the region until the job is resumed.
_UNREGISTER_SECONDS = 1.0


class SharedRegion:
    """One shared-memory object, registered with the server, with a window for each connection.

    The object has no name any more: it is unlinked as soon as the server has opened it, so that the system frees it
    when both processes have ended.
    """

    def __init__(self, name: str, memory: mmap.mmap, windows: int, rows: int, features: int, classes: int) -> None:
        self.name = name
        """Name of the region in requests."""
        sizes = _sizes(rows, features, classes)
        self._windows = []
        for index in range(windows):
            start = index * sum(sizes)
            window = Window(name, start, start + sizes[0], start + sizes[0] + sizes[1])
            pixels = np.frombuffer(memory, np.uint8, rows * features, window.pixels).reshape(rows, features)
            labels = np.frombuffer(memory, "<i8", rows, window.labels)
            scores = np.frombuffer(memory, "<f4", rows * classes, window.scores).reshape(rows, classes)
            self._windows.append((window, pixels, labels, scores))

    def write(self, index: int, pixels: NDArray[np.uint8]) -> Window:
        """Write the pixels of a call to a window."""
        window, window_pixels, _, _ = self._windows[index]
        window_pixels[: len(pixels)] = pixels
        return window

    def read(self, index: int, digits: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Copy the server's answer out of a window: digits [n], scores [n, classes] of the rows that were written."""
        _, _, window_labels, window_scores = self._windows[index]
        digits[:], scores[:] = window_labels[: len(digits)], window_scores[: len(scores)]

    def close(self, client: InferenceClient) -> None:
        """Unregister the region, if the server can be reached."""
        with suppress(DigitsError):  # a server that has ended has nothing open
            client.unregister(self.name, deadline=Deadline(_UNREGISTER_SECONDS, client.place))


def open_region(
    client: InferenceClient,
    prefix: str,
    job: str,
    windows: int,
    rows: int,
    features: int,
    classes: int,
    *,
    deadline: Deadline,
) -> SharedRegion | None:
    """Create a region and register it; None if the server cannot or may not open it, or memory is short.

    Unregisters the regions of a killed run of the same `job`. Raises a `DigitsError` if the server cannot be reached
    or the `deadline` is exceeded.
    """
    stem = f"{prefix.removeprefix('/')}{job}-"
    name = stem + secrets.token_hex(8)
    size = windows * sum(_sizes(rows, features, classes))
    try:
        memory = _create(FOLDER / name, size)
    except OSError:
        return None
    try:
        for region in client.regions(deadline=deadline) if job else ():
            if region.startswith(stem):
                client.unregister(region, deadline=deadline)
        client.register(name, f"/{name}", size, deadline=deadline)
    except (InvalidInput, ServerError):  # it is on another host, or runs without --shared-memory
        return None
    finally:
        (FOLDER / name).unlink(missing_ok=True)
    return SharedRegion(name, memory, windows, rows, features, classes)


def _create(path: Path, size: int) -> mmap.mmap:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)  # without it, a later write could kill the process
        return mmap.mmap(descriptor, size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _sizes(rows: int, features: int, classes: int) -> tuple[int, int, int]:
    """Bytes of pixels, labels and scores in a window, each rounded up to a whole cache line."""

    def round_up(size: int) -> int:
        return -(-size // _CACHE_LINE) * _CACHE_LINE

    return round_up(rows * features), round_up(8 * rows), round_up(4 * rows * classes)
