"""Image files: in a folder, named one by one, or in an archive."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count, islice
from pathlib import Path, PurePath
from typing import Any, Protocol

import numpy as np

from scoring.chunk import InputError, Kind, RowError, Shape
from scoring.readers import fingerprint
from scoring.readers.decoding import Decoder
from scoring.readers.labels import Labels
from scoring.readers.reader import Block, Wanted

_READABLE = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".webp")
# Whoever has such files is told that they cannot be read rather than left with fewer rows.
_OTHERS = (".tif", ".tiff", ".heic", ".heif", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".ico", ".svg")
ENDINGS = _READABLE + _OTHERS
MOST_BYTES = 64 << 20

Entry = tuple[str, Callable[[], bytes]]
"""The name of an image file, and how to read it; `OSError` and `ValueError` are errors of that file alone."""

FOLDER = "folder"
"""As `labels`: what an image shows is the name of the folder it lies in."""


class Source(Protocol):
    """Where image files come from."""

    rows: int | None

    def fingerprint(self) -> dict[str, Any]: ...  # noqa: D102 see `Reader`
    def open(self) -> AbstractContextManager[Iterator[Entry]]: ...  # noqa: D102 each file, in order


class ImagesReader:
    """Rows out of image files, prepared as the model's training data was."""

    named = True
    encoded = True

    def __init__(
        self, path: str, source: Source, shape: Shape, *, prefix: str, labels: str | None, processes: int
    ) -> None:
        """`path` is empty where each name says it all; `prefix` stands before each name in the ids."""
        self.path = path
        self.rows = source.rows
        self.labelled = labels == FOLDER
        self._source, self._shape, self._prefix, self._processes = source, shape, prefix, processes
        self._labels = Labels(shape, strict=True)

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return self._source.fingerprint()

    def blocks(self, rows: int, wanted: Wanted) -> Iterator[Block | int]:
        """See `Reader`."""
        with self._source.open() as entries, Decoder(self._shape.prepare, self._processes) as decoder:
            for index in count():
                some = islice(entries, rows)
                block = self._block(some, decoder, rows) if wanted(index) else sum(1 for _ in some)
                if not (block if isinstance(block, int) else len(block)):
                    return
                yield block

    def _block(self, entries: Iterator[Entry], decoder: Decoder, rows: int) -> Block:
        names: list[str] = []
        unreadable: dict[int, str] = {}

        def images() -> Iterator[bytes]:
            for name, read in entries:
                try:
                    image = read()
                except InputError:
                    raise
                except (OSError, ValueError) as error:
                    unreadable[len(names)] = getattr(error, "strerror", None) or str(error)
                    image = b""
                names.append(name)
                yield image

        pixels = np.zeros((rows, self._shape.features), np.uint8)
        errors = {}
        for row, decoded in enumerate(decoder.decode(images())):
            if row in unreadable:
                decoded = f"it cannot be read: {unreadable.pop(row)}"
            if isinstance(decoded, str):
                errors[row] = RowError(Kind.IMAGE, f"{self._place(names[row])}: {decoded}")
            else:
                pixels[row] = decoded
        labels = None
        if self.labelled:
            folders = [PurePath(name).parent.name for name in names]
            labels = self._labels.read(folders, lambda row: f"the folder of {self._place(names[row])}")
        return Block(pixels[: len(names)], errors, [_plain(f"{self._prefix}{name}") for name in names], labels)

    def _place(self, name: str) -> str:
        return f"{self.path}, {_plain(name)}" if self.path else _plain(name)


class Files:
    """Image files by their paths within a folder, or wherever they are."""

    def __init__(self, names: Sequence[str], folder: Path | None = None) -> None:
        self.rows: int | None = len(names)
        self._names, self._folder = names, folder or Path()

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return {"path": str(self._folder.resolve())} | fingerprint.of_files(self._folder / name for name in self._names)

    def open(self) -> AbstractContextManager[Iterator[Entry]]:
        """See `Source`."""
        return nullcontext((name, partial(_read, self._folder / name)) for name in self._names)


def find_images(folder: Path) -> list[str]:
    """The image files below `folder` by their paths in it, sorted, hidden ones left out. Raises `InputError`.

    Links are followed, but not back to a folder on the way. Of a million files only the names are in memory, once.
    """
    found: list[str] = []
    left: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while left:
        below, way = left.pop()
        try:
            here = os.stat(folder / below)
            if (here.st_dev, here.st_ino) in way:
                continue
            way |= {(here.st_dev, here.st_ino)}
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        left.append((f"{below}{entry.name}/", way))
                    elif is_image_name(entry.name):
                        found.append(f"{below}{entry.name}")
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read: {error.strerror}") from None
    found.sort()
    return found


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image: by its ending, and not hidden."""
    file = name.rpartition("/")[2]
    ending = os.path.splitext(file)[1]  # a folder may have a million files, and PurePath takes its time
    return ending.lower() in ENDINGS and not file.startswith(".") and PurePath(name).parts[0] != "__MACOSX"


def check_size(size: int) -> None:
    """Raises `ValueError` for an image file too large to be read."""
    if size > MOST_BYTES:
        raise ValueError(f"it has {size} bytes, more than the {MOST_BYTES} allowed for an image file")


def _read(path: Path) -> bytes:
    with open(path, "rb", opener=_open_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no plain file")
        check_size(found.st_size)
        return file.read(MOST_BYTES + 1)


def _open_without_waiting(path: str, flags: int) -> int:
    """Or a pipe would be waited for until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _plain(name: str) -> str:
    """The name as a table can hold it, and no two alike: a byte that is no UTF-8 as \\xff, a backslash twice."""
    return name.replace("\\", "\\\\").encode(errors="surrogateescape").decode(errors="backslashreplace")
