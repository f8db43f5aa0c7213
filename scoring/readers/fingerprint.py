"""Fingerprints of inputs, by which a resumed job detects changes."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from scoring.chunk import InputError

_SAMPLES = 16
_SAMPLE_BYTES = 65_536


def of_file(path: Path) -> dict[str, Any]:
    """Path, size in bytes, time of the last change in ns, and SHA-256 of 16 samples of 64 KiB, first and last included.

    Takes a few milliseconds for any size. Raises `InputError`.
    """
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            digest = _digest(file, stat.st_size)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return {"path": str(path.resolve()), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": digest}


def _digest(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    last = max(0, size - _SAMPLE_BYTES)
    for offset in sorted({last * sample // (_SAMPLES - 1) for sample in range(_SAMPLES)}):
        file.seek(offset)
        digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def of_files(paths: Iterable[Path]) -> dict[str, Any]:
    """Number of files, and SHA-256 over the path, size and time of each, or over its error."""
    digest = hashlib.sha256()
    count = 0
    for path in paths:
        try:
            stat = path.stat()
            found = f"{stat.st_size}\0{stat.st_mtime_ns}"
        except OSError as error:  # like any unreadable image, an error of its row
            found = f"{error.strerror}"
        count += 1
        digest.update(f"{path}\0{found}\n".encode(errors="surrogateescape"))
    return {"files": count, "sha256": digest.hexdigest()}
