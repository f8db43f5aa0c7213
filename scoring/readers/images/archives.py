"""Image files in a tar (packed or not) or a zip, in the archive's own order."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from imaging.folder import is_hidden
from scoring.chunk import InputError
from scoring.readers import fingerprint
from scoring.readers.files import InputFile, reading
from scoring.readers.images.images import Entry, check_size, is_image_name

_BLOCK = tarfile.BLOCKSIZE


def is_tar(head: bytes) -> bool:
    """Whether the first 512 bytes are a tar's."""
    return head[257:262] == b"ustar"


class Tar:
    """Image files of a tar, read once from its beginning to its end."""

    rows: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return fingerprint.of_file(self._path)

    @contextmanager
    def open(self) -> Iterator[Iterator[Entry]]:
        """See `ImageSource`."""
        with InputFile(self._path).open() as file:
            watched = _TrackedFile(file)
            with reading(self._path), tarfile.open(fileobj=cast("BinaryIO", watched), mode="r:") as tar:
                yield self._entries(tar, watched)

    def _entries(self, tar: tarfile.TarFile, watched: "_TrackedFile") -> Iterator[Entry]:
        while True:
            with reading(self._path):
                member = tar.next()
            if member is None:
                break
            tar.members = []  # type: ignore[attr-defined]  # tarfile would keep all members otherwise
            entry = _entry(member.name, partial(self._read, tar, member))
            if entry is not None and not member.isdir():
                yield entry
        # tarfile treats a truncated or damaged header as the end of the archive.
        if watched.last != bytes(_BLOCK):
            raise InputError(f"{self._path} is damaged or cut short: it has no end, after {watched.at} bytes")

    def _read(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        if not member.isfile():
            raise ValueError(f"it is a link to {member.linkname}" if member.linkname else "it is not a regular file")
        check_size(member.size)
        with reading(self._path):
            file = tar.extractfile(member)
            assert file is not None
            return file.read()


class _TrackedFile:
    """A stream that keeps the last bytes that were read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell
        self.last = b""
        self.at = 0

    def read(self, size: int) -> bytes:
        self.last = self._file.read(size)
        self.at = self._file.tell()
        return self.last


class Zip:
    """Image files of a zip."""

    def __init__(self, path: Path) -> None:
        """Reads its directory. Raises `InputError`."""
        self._path = path
        with reading(path), zipfile.ZipFile(path) as archive:
            self.rows: int | None = sum(1 for _ in _images(archive))

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return fingerprint.of_file(self._path)

    @contextmanager
    def open(self) -> Iterator[Iterator[Entry]]:
        """See `ImageSource`."""
        with reading(self._path):
            archive = zipfile.ZipFile(self._path)
        with archive:
            yield _images(archive)


def visible_path(name: str) -> str | None:
    """A member's path with `/` instead of the backslashes of Windows; None if it is hidden."""
    path = name.replace("\\", "/")
    return None if is_hidden(path) else path


def _entry(name: str, read: Callable[[], bytes]) -> Entry | None:
    path = visible_path(name)
    return None if path is None or not is_image_name(path) else Entry(name, path, read)


def _images(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for member in archive.infolist():
        entry = _entry(member.filename, partial(_unpack, archive, member))
        if entry is not None and not member.is_dir():
            yield entry


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    check_size(member.file_size)
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        # zipfile raises RuntimeError for an encrypted member, and its NotImplementedError for an unknown compression.
        raise ValueError(str(error)) from None
