"""Files as streams of bytes, packed by gzip or not, with sentences for what can go wrong."""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from scoring.chunk import InputError

GZIP = b"\x1f\x8b"
_DAMAGE = (
    EOFError,
    UnicodeDecodeError,  # of names in a zip that says they are UTF-8
    NotImplementedError,  # of a zip of another version
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""What is raised for a file that is not whole, or not what it says."""


def open_stream(path: Path, *, packed: bool) -> BinaryIO:
    """The file's bytes, unpacked if it is `packed`. Raises `InputError`; reading it wants `reading` around it."""
    with reading(path):
        return cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb")


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turns what reading the file raises into `InputError`."""
    try:
        yield
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged or cut short: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
