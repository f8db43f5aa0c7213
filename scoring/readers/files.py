"""Files as streams of bytes, packed or not, with sentences for what can go wrong."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from scoring.chunk import InputError

_PACKERS: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_DAMAGE = (
    EOFError,
    UnicodeDecodeError,  # a zip says that its names are UTF-8, and they are not
    NotImplementedError,  # a zip needs a newer version of the format
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""What is raised for a file that is not whole, or not what it says."""


class Content:
    """What a file holds: its bytes, unpacked where gzip, bzip2 or xz packed them, or those of a zip's `member`."""

    def __init__(self, path: Path, member: str | None = None) -> None:
        """Looks at how it begins. Raises `InputError`."""
        self.path, self.member = path, member
        self._unpack: Callable[[Path], Any] | None = None
        if member is None:
            with reading(path), path.open("rb") as plain:
                head = plain.read(max(map(len, _PACKERS)))
            self._unpack = next((unpack for magic, unpack in _PACKERS.items() if head.startswith(magic)), None)

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}, {self.member}"

    @property
    def packed(self) -> bool:
        """Whether the file itself has other bytes."""
        return self._unpack is not None or self.member is not None

    def open(self) -> BinaryIO:
        """A stream of the bytes. Raises `InputError`; reading it wants `reading` around it."""
        with reading(self):
            if self.member is None:
                return cast("BinaryIO", self._unpack(self.path)) if self._unpack else self.path.open("rb")
            with zipfile.ZipFile(self.path) as archive:  # the file stays open until its last member is closed
                try:
                    return cast("BinaryIO", archive.open(self.member))
                except RuntimeError as error:  # encrypted, or packed in a way of its own
                    raise InputError(f"{self} cannot be read: {error}") from None

    def begin(self, size: int) -> bytes:
        """The first `size` bytes, or all where there are fewer. Raises `InputError`."""
        with self.open() as file, reading(self):
            return file.read(size)


@contextmanager
def reading(file: object) -> Iterator[None]:
    """Turns what reading `file` raises into `InputError`."""
    try:
        yield
    except _DAMAGE as error:
        raise InputError(f"{file} is damaged or cut short: {error}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from None
