"""Files that an operator names: read only when they are regular, and read again when they change."""

import os
import stat
import time
from pathlib import Path

# Seconds between two checks whether watched files have changed, at least.
CHECK_SECONDS = 1.0

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def read_regular(path: Path) -> bytes:
    """The content of a regular file. Raises `OSError`, also for a pipe: reading one would wait for its writer."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read()


class WatchedFiles:
    """Notices when one of several files was written, replaced or removed."""

    def __init__(self, *paths: Path) -> None:
        """Watch from now on: make it before the files are read, so that no change is missed."""
        self._paths = paths
        self._seen = self._stamps()
        self._check_at = 0.0

    def changed(self) -> bool:
        """Whether one has changed since the last call; False within `CHECK_SECONDS` of the last check."""
        if (now := time.monotonic()) < self._check_at:
            return False
        self._check_at = now + CHECK_SECONDS
        before, self._seen = self._seen, self._stamps()
        return self._seen != before

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
