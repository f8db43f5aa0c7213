"""Files that are on the disk completely or not at all, whenever the process is killed."""

import os
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


def temporary_path(path: Path) -> Path:
    """Where a file is written until `commit` renames it."""
    return path.with_name(path.name + TEMPORARY_SUFFIX)


def commit(path: Path) -> None:
    """Flush the temporary file of `path` to the disk and rename it to `path`."""
    sync(temporary_path(path))
    temporary_path(path).rename(path)


def write_file(path: Path, content: bytes) -> None:
    """Write and commit a file."""
    temporary_path(path).write_bytes(content)
    commit(path)


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_identity(file: Path) -> list[int]:
    """Inode and size; a renamed file keeps them."""
    stat = file.stat()
    return [stat.st_ino, stat.st_size]
