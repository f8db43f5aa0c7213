"""Image files: in a folder, named one by one, or in an archive."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count, islice
from pathlib import Path, PurePath
from typing import Any, NamedTuple, Protocol

import numpy as np

from imaging.folder import walk
from scoring.chunk import ErrorKind, InputError, RowError, Shape
from scoring.readers import fingerprint
from scoring.readers.images.decoding import Decoder
from scoring.readers.labels.labels import Labels
from scoring.readers.reader import Block, Wanted

_READABLE = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".webp")
# Formats that cannot be read are errors of their rows rather than skipped.
_OTHERS = (".tif", ".tiff", ".heic", ".heif", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".ico", ".svg")
ENDINGS = _READABLE + _OTHERS
MOST_BYTES = 64 << 20

FOLDER = "folder"
"""Value of `labels`: the label of an image is the name of its folder."""


class Entry(NamedTuple):
    """An image file."""

    name: str
    """As its folder or archive has it."""
    path: str
    """The name with `/` as the separator of folders."""
    read: Callable[[], bytes]
    """Returns its bytes; `OSError` and `ValueError` are errors of this file only."""

    @property
    def folder(self) -> str:
        """The name of its folder; empty without a folder."""
        return PurePath(self.path).parent.name


class ImageSource(Protocol):
    """A collection of image files."""

    rows: int | None

    def fingerprint(self) -> dict[str, Any]: ...  # noqa: D102 see `Reader`
    def open(self) -> AbstractContextManager[Iterator[Entry]]: ...  # noqa: D102 each file, in order


class ImagesReader:
    """Rows out of image files, prepared as the model's training data was."""

    named = True
    encoded = True

    def __init__(
        self,
        path: str,
        source: ImageSource,
        shape: Shape,
        *,
        prefix: str,
        labels: str | None,
        processes: int,
        pictures: bool = False,
    ) -> None:
        """`path` is empty if the names are complete; `prefix` precedes each name in the ids.

        With `pictures` the files are passed on as they are, without labels.

        Raises `InputError` without image files, or if `labels` requests folders and there are none.
        """
        self.path = path
        self.rows = source.rows
        self.labelled = labels == FOLDER
        self._source, self._shape, self._prefix, self._processes = source, shape, prefix, processes
        self._labels = Labels(shape, strict=True)
        self._pictures = pictures
        with source.open() as entries:
            first = next(entries, None)
            if first is None:
                raise InputError(f"{path} has no image files, expected some with an ending such as .png or .jpg")
            if self.labelled and not first.folder and not any(entry.folder for entry in entries):
                raise InputError(
                    f"{path or first.name}: no image lies in a folder there, expected 7/{PurePath(first.path).name} "
                    f"or the like for --labels {FOLDER}; name the folder above, or a file of labels"
                )

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return self._source.fingerprint()

    def blocks(self, rows: int, wanted: Wanted) -> Iterator[Block | int]:
        """See `Reader`."""
        with self._source.open() as entries, Decoder(self._shape.prepare, self._processes) as decoder:
            for index in count():
                some = islice(entries, rows)
                block = self._read(some, decoder, rows) if wanted(index) else sum(1 for _ in some)
                if not (block if isinstance(block, int) else len(block)):
                    return
                yield block

    def _read(self, entries: Iterator[Entry], decoder: Decoder, rows: int) -> Block:
        return self._picture_block(entries) if self._pictures else self._block(entries, decoder, rows)

    def _picture_block(self, entries: Iterator[Entry]) -> Block:
        names: list[str] = []
        pictures: list[bytes] = []
        errors = {}
        for row, entry in enumerate(entries):
            names.append(entry.name)
            try:
                pictures.append(entry.read())
            except InputError:
                raise
            except (OSError, ValueError) as error:
                pictures.append(b"")
                errors[row] = RowError(ErrorKind.IMAGE, f"{self._place(entry.name)}: {_unreadable(error)}")
        ids = [_plain(f"{self._prefix}{name}") for name in names]
        return Block(np.zeros((len(names), 0), np.uint8), errors, {}, ids, pictures=pictures)

    def _block(self, entries: Iterator[Entry], decoder: Decoder, rows: int) -> Block:
        names: list[str] = []
        folders: list[str] = []
        unreadable: dict[int, str] = {}

        def images() -> Iterator[bytes]:
            for entry in entries:
                try:
                    image = entry.read()
                except InputError:
                    raise
                except (OSError, ValueError) as error:
                    unreadable[len(names)] = _unreadable(error)
                    image = b""
                names.append(entry.name)
                if self.labelled:
                    folders.append(entry.folder)
                yield image

        pixels = np.zeros((rows, self._shape.features), np.uint8)
        errors = {}
        warnings = {}
        for row, decoded in enumerate(decoder.decode(images())):
            if row in unreadable:
                decoded = unreadable.pop(row)
            if isinstance(decoded, str):
                errors[row] = RowError(ErrorKind.IMAGE, f"{self._place(names[row])}: {decoded}")
            else:
                pixels[row], warnings[row] = decoded.pixels, decoded.warnings
        labels = None
        if self.labelled:
            labels = self._labels.read(folders, lambda row: f"the folder of {self._place(names[row])}")
        ids = [_plain(f"{self._prefix}{name}") for name in names]
        return Block(pixels[: len(names)], errors, warnings, ids, labels)

    def _place(self, name: str) -> str:
        return f"{self.path}, {_plain(name)}" if self.path else _plain(name)


class ImageFiles:
    """Image files by their paths within a folder, or wherever they are."""

    def __init__(self, names: Sequence[str], folder: Path | None = None) -> None:
        self.rows: int | None = len(names)
        self._names, self._folder = names, folder or Path()

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return {"path": str(self._folder.resolve())} | fingerprint.of_files(self._folder / name for name in self._names)

    def open(self) -> AbstractContextManager[Iterator[Entry]]:
        """See `ImageSource`."""
        return nullcontext(Entry(name, name, partial(_read, self._folder / name)) for name in self._names)


def find_images(folder: Path) -> list[str]:
    """The image files below `folder` by their paths in it, sorted, hidden ones left out. Raises `InputError`.

    Memory holds only the names of the files.
    """
    try:
        return sorted(name for name in walk(folder) if is_image_name(name))
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from None


def is_image_name(name: str) -> bool:
    """Whether a file name has the ending of an image."""
    return os.path.splitext(name)[1].lower() in ENDINGS  # PurePath is slow for a million files


def check_size(size: int) -> None:
    """Raises `ValueError` for an image file too large to be read."""
    if size > MOST_BYTES:
        raise ValueError(f"it has {size} bytes, more than the {MOST_BYTES} allowed for an image file")


def _read(path: Path) -> bytes:
    with open(path, "rb", opener=_open_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is not a regular file")
        check_size(found.st_size)
        return file.read(MOST_BYTES + 1)


def _unreadable(error: OSError | ValueError) -> str:
    return f"it cannot be read: {getattr(error, 'strerror', None) or error}"


def _open_without_waiting(path: str, flags: int) -> int:
    """Open without blocking on a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _plain(name: str) -> str:
    """The name as unique UTF-8: a byte that is not UTF-8 becomes \\xff, a backslash is doubled."""
    return name.replace("\\", "\\\\").encode(errors="surrogateescape").decode(errors="backslashreplace")
