"""Files as streams of bytes, decompressed if necessary, with errors as `InputError`."""

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
"""Exceptions for a truncated or damaged file."""


class InputFile:
    """The content of a file, decompressed from gzip, bzip2 or xz, or that of the `member` of a zip."""

    def __init__(self, path: Path, member: str | None = None) -> None:
        """Detect the compression from the first bytes. Raises `InputError`."""
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
        """Whether the content is compressed or in a zip."""
        return self._unpack is not None or self.member is not None

    def open(self) -> BinaryIO:
        """A stream of the content. Raises `InputError`; reads of it need `reading` around them."""
        with reading(self):
            if self.member is None:
                return cast("BinaryIO", self._unpack(self.path)) if self._unpack else self.path.open("rb")
            with zipfile.ZipFile(self.path) as archive:  # the file stays open until its last member is closed
                try:
                    return cast("BinaryIO", archive.open(self.member))
                except RuntimeError as error:  # encrypted, or an unknown compression
                    raise InputError(f"{self} cannot be read: {error}") from None

    def begin(self, size: int) -> bytes:
        """The first `size` bytes, or all if there are fewer. Raises `InputError`."""
        with self.open() as file, reading(self):
            return file.read(size)


@contextmanager
def reading(file: object) -> Iterator[None]:
    """Translate errors of reading `file` into `InputError`."""
    try:
        yield
    except _DAMAGE as error:
        raise InputError(f"{file} is damaged or cut short: {error}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from None
