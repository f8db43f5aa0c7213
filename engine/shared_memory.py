"""System shared memory: regions that a client on the same host fills, and the server reads and writes.

They are read by `preadv` and written by `pwritev`, never mapped: a client that truncates a mapped file would kill the
server, while these calls only return an error.
"""

import os
import re
import resource
import stat
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from engine.errors import AlreadyExists, InvalidInput, NotAllowed, NotFound, quoted

# Where Linux keeps POSIX shared-memory objects: `shm_open("/x")` opens the file `x` in it.
FOLDER = Path("/dev/shm")  # noqa: S108 - not for temporary files
# A region holds a file descriptor, and connections need some too.
MAX_REGIONS = min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
MAX_NAME = 256

_KEY = re.compile(r"[^/\0]{1,255}")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Region:
    """A range of a shared-memory object, which is closed when its last region is freed."""

    name: str
    """Name in requests."""
    key: str
    """Key of the object."""
    offset: int
    """Start in the object, bytes."""
    byte_size: int
    """Length, bytes."""
    descriptor: int = field(repr=False)
    """The open object."""

    def read(self, start: int, target: NDArray[Any], name: str) -> None:
        """Fill the contiguous `target` from `start` bytes after the start of the region.

        May be called from any thread. Raises `InvalidInput` with the field `name` if the object has no such
        bytes, or no longer has them.
        """
        view = target.data.cast("B")
        while view:
            try:
                count = os.preadv(self.descriptor, [view], self.offset + start)
            except OSError as error:
                raise InvalidInput(name, f"{self} cannot be read: {error.strerror}") from None
            if count == 0:
                raise InvalidInput(name, f"{self} was truncated: {len(view)} bytes are missing")
            view, start = view[count:], start + count

    def write(self, start: int, source: NDArray[Any], name: str) -> None:
        """Write the contiguous `source` to `start` bytes after the start of the region; else as `read`."""
        view = source.data.cast("B")
        # Writing past the end would grow the file, which only its owner may do.
        missing = self.offset + start + len(view) - os.fstat(self.descriptor).st_size
        if missing > 0:
            raise InvalidInput(name, f"{self} was truncated: {missing} bytes are missing")
        while view:
            try:
                count = os.pwritev(self.descriptor, [view], self.offset + start)
            except OSError as error:
                raise InvalidInput(name, f"{self} cannot be written: {error.strerror}") from None
            view, start = view[count:], start + count

    def __str__(self) -> str:
        return f"shared-memory region {quoted(self.name)}"


class SharedMemory:
    """The registered regions."""

    def __init__(self, prefix: str, folder: Path = FOLDER) -> None:
        """Allow objects whose key, without a leading `/`, starts with `prefix`; an empty prefix allows none."""
        self._prefix = prefix.removeprefix("/")
        self._folder = folder
        self._regions: dict[str, Region] = {}
        self.on_change: list[Callable[[], None]] = []
        """All are called after a region was registered or unregistered."""

    @property
    def allowed(self) -> bool:
        """Whether regions can be registered at all."""
        return bool(self._prefix)

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Open the object with that key; from now on `name` means its bytes offset..offset+byte_size-1.

        The region keeps the opened object, even if the key is unlinked or replaced later. Raises `NotAllowed` and
        `InvalidInput`.
        """
        if not self._prefix:
            raise NotAllowed("shared memory is not used here: the server runs without --shared-memory")
        if not 1 <= len(name) <= MAX_NAME:
            raise InvalidInput("name", f"has {len(name)} characters, expected 1..{MAX_NAME}")
        if name in self._regions:
            raise AlreadyExists(f"a shared-memory region {quoted(name)} is registered; unregister it first")
        if len(self._regions) >= MAX_REGIONS:
            raise NotAllowed(f"{MAX_REGIONS} regions are registered, and there can be no more; unregister some")
        if byte_size < 1:
            raise InvalidInput("byte_size", "is 0, expected at least 1")
        descriptor = self._open(key)
        region = Region(name, key, offset, byte_size, descriptor)
        weakref.finalize(region, os.close, descriptor)
        size = os.fstat(descriptor).st_size
        if offset + byte_size > size:
            raise InvalidInput(
                "byte_size",
                f"is {byte_size} from offset {offset}, and the object {quoted(key)} ends after {size} bytes",
            )
        self._regions[name] = region
        self._announce()

    def _announce(self) -> None:
        for call in self.on_change:
            call()

    def _open(self, key: str) -> int:
        """The object as a file descriptor. Raises `InvalidInput`."""
        file = key.removeprefix("/")
        if not _KEY.fullmatch(file) or file in (".", "..") or not file.startswith(self._prefix):
            raise InvalidInput(
                "key", f"is {quoted(key)}, expected a name without '/' that begins with '/{self._prefix}'"
            )
        try:  # O_NONBLOCK: opening a pipe would wait for its writer
            descriptor = os.open(self._folder / file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise InvalidInput("key", f"is {quoted(key)}, which cannot be opened: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InvalidInput("key", f"is {quoted(key)}, which is no shared-memory object")
        return descriptor

    def find(self, region: str, name: str) -> Region:
        """The region of that name. Raises `InvalidInput` with the field `name`."""
        found = self._regions.get(region)
        if found is None:
            raise InvalidInput(name, f"names the shared-memory region {quoted(region)}, which is not registered")
        return found

    def status(self, name: str = "") -> dict[str, Region]:
        """One region, or all if `name` is empty. Raises `NotFound`."""
        if not name:
            return dict(self._regions)
        if name not in self._regions:
            raise NotFound(f"there is no shared-memory region {quoted(name)}")
        return {name: self._regions[name]}

    def unregister(self, name: str = "") -> None:
        """Unregister one region, or all if `name` is empty; requests that found it may still use it."""
        if name:
            self._regions.pop(name, None)
        else:
            self._regions.clear()
        self._announce()
