"""Opens the inputs of a job. The content of an input determines its reader."""

import glob
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from imaging.folder import is_hidden
from imaging.idx import is_idx
from scoring.chunk import UNKNOWN, InputError, Shape
from scoring.messages import clip_list
from scoring.readers.arrays import idx, npy
from scoring.readers.files import InputFile, reading
from scoring.readers.images.archives import Tar, Zip, is_tar, visible_path
from scoring.readers.images.images import FOLDER, ImageFiles, ImagesReader, find_images, is_image_name
from scoring.readers.inputs import Inputs
from scoring.readers.labels.label_file import read_label_file
from scoring.readers.labels.labels import NONE
from scoring.readers.reader import Reader
from scoring.readers.tables import parquet
from scoring.readers.tables.csv import CsvReader
from scoring.readers.tables.image_cells import is_encoded
from scoring.readers.tables.json_lines import STANDARD_INPUT, JsonLinesReader

__all__ = ["RULES", "Inputs", "open_inputs"]

RULES = """\
The content of an input says what it is, not its name. It may be: .npy, .npz, IDX, CSV or JSON lines (each of them \
plain, packed by gzip, bzip2 or xz, or alone in a zip); Parquet; a folder, a zip or a tar (packed or not) of image \
files; an image file; a glob of any of these; or - for JSON lines on standard input. Files and folders \
that are hidden by a dot, or that macOS, Windows or network storage keep for themselves (__MACOSX, Thumbs.db, \
@eaDir), are passed over in folders, archives and globs.

Pixels are whole numbers in the model's range, ink bright, row by row; as floats they are taken as well where \
they are whole. Of several candidates the first of these is taken: (1) what --pixels names: a column, a pattern \
with * for columns, an array of an .npz, a field of JSON; (2) the only column of lists or bytes called pixels, \
image or img; the only array called pixels, images or x; (3) the only column of lists or bytes, or array of \
images of the model's size; (4) the only group of as many columns of numbers as an image has pixels whose names \
differ in their numbers alone (pixel0 …, 1x1 …, or the numbers themselves where CSV has no line of names), or \
fields of JSON likewise, in the order of these numbers. If none of them tells, the input is refused. Bytes are raw \
pixels where there are as many as an image has pixels, else an image file; JSON has them as Base64 or as a data: \
URL. Image files are prepared as `digits classify` does.

Labels are what --labels names: a file (IDX, .npy, or text with one label on a line) with one for each row, a \
column, an array or a field, or the word folder: the name of the folder that an image file lies in. They are \
numbers in any spelling (7, 07, 7.0, 7e+00), names of the model's classes, or lists with a 1 for the class and 0 \
for each other; nothing, NA, NaN, null or None is a label that is not known. Labels that are asked for and are in \
no row end the job. The word none takes none. Without --labels, the first column, array or field called label, \
labels or y is taken; what is in it but no label of the model is passed over, and counted in the summary.

An id is the number of the row in the job, from 0; an image file's is its path as given, or its path within the \
folder or archive, behind the name of that where there are several inputs; a byte in it that is no UTF-8 is \
written \\xff, by its value, and a backslash twice, so that no two are alike. Folders are read in the order of the \
paths, archives in their own."""
"""Rules for pixels, labels and ids, as shown by `--help`."""

_HEAD = 512
# Known formats that cannot be read, by their first bytes.
_REFUSED = {
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\x28\xb5\x2f\xfd": "packed by Zstandard",
    b"\x89HDF": "HDF5",
    b"ARROW1": "Arrow or Feather",
    b"MATLAB": "MATLAB's",
    b"SQLite": "a data base",
    b"\x80": "a pickle of Python",
    b"\x1f\x8b": "packed twice",
    b"PAR1": "Parquet in another packing",
    b"PK": "a zip in another packing",
}


def open_inputs(
    inputs: Sequence[str],
    shape: Shape,
    *,
    pixels: str | None = None,
    labels: str | None = None,
    threads: int = 1,
    pictures: bool = False,
) -> Inputs:
    """The rows of `inputs`; `RULES` describes `inputs`, `pixels` and `labels`.

    Image files are decoded by `threads` processes, columns by so many threads. With `pictures` image files are passed
    on as they are, and other inputs are refused. Raises `InputError`.
    """
    if not inputs:
        raise InputError("no input was named, expected at least one file, folder, glob or -")
    of_rows = None
    if labels is not None and labels not in (FOLDER, NONE) and os.path.isfile(labels):
        of_rows = read_label_file(Path(labels), shape)
        if len(of_rows) and (of_rows == UNKNOWN).all():
            raise InputError(f"{labels} has no label in any of its {len(of_rows)} rows, expected some")
    opener = _Opener(shape, pixels, None if of_rows is not None else labels, threads, pictures)
    readers = list(opener.open(inputs))
    if labels is not None and labels != NONE and of_rows is None:
        _check_labelled(readers, labels)
    return Inputs(readers, of_rows, labels)


def _check_labelled(readers: Sequence[Reader], labels: str) -> None:
    """Raise `InputError` if an input lacks the requested labels."""
    for reader in readers:
        if not reader.labelled:
            name = reader.path or "an image file"
            why = "it has no image files" if labels == FOLDER else "no such file, and the input has no such column"
            raise InputError(f"{name} has no labels {labels}: {why}")


class _Opener:
    """Opens inputs with the options of a job."""

    def __init__(
        self, shape: Shape, pixels: str | None, labels: str | None, threads: int, pictures: bool = False
    ) -> None:
        self._shape, self._pixels, self._labels, self._threads = shape, pixels, labels, threads
        self._pictures = pictures

    def open(self, inputs: Sequence[str]) -> Iterator[Reader]:
        """A reader for each input, and one for all image files that follow one another."""
        paths = [path for text in inputs for path in _expand(text)]
        if paths.count(STANDARD_INPUT) > 1:
            raise InputError("standard input is named twice, expected - once")
        images: list[str] = []
        several = len(paths) > 1
        for path in paths:
            if is_image_name(path) and not Path(path).is_dir():
                images.append(path)
                continue
            reader = self._open(path, several=several)
            if reader is None:
                images.append(path)
                continue
            if images:
                yield self._images("", ImageFiles(images))
                images = []
            if self._pictures and not isinstance(reader, ImagesReader):
                raise InputError(f"{path} holds no image files to read, expected some, a folder or an archive of them")
            yield reader
        if images:
            yield self._images("", ImageFiles(images))

    def _open(self, path: str, *, several: bool) -> Reader | None:
        """The reader of one input; None for an image file."""
        if path == STANDARD_INPUT:
            stdin = sys.stdin
            if stdin is None:
                raise InputError("standard input is closed, expected JSON lines")
            return self._json_lines(None, path, lambda: nullcontext(stdin.buffer))
        file = Path(path)
        prefix = f"{path.rstrip('/')}/" if several else ""
        if file.is_dir():
            names = find_images(file)
            if not names:
                raise InputError(f"{path} is a folder without image files; name files of other kinds, or a glob")
            return self._images(path, ImageFiles(names, file), prefix)
        if not file.is_file():
            raise InputError(f"{path} is neither a file nor a folder; JSON lines come through a pipe as -")
        content = InputFile(file)
        head = content.begin(_HEAD)
        if is_tar(head):
            return self._images(path, Tar(file), prefix)
        if head.startswith(b"PK") and not content.packed:
            return self._zip(file, prefix)
        if is_encoded(head) and not content.packed:
            return None
        return self._table(content, head)

    def _table(self, content: InputFile, head: bytes) -> Reader:
        """The reader of a file of numbers, from the bytes that its content begins with."""
        if not head:
            raise InputError(f"{content} is empty: 0 bytes")
        if head.startswith(npy.MAGIC):
            return npy.open_npy(content, self._shape)
        if is_idx(head):
            return idx.open_idx(content, self._shape)
        if head.startswith(parquet.MAGIC) and not content.packed:
            return parquet.ParquetReader(
                content.path, self._shape, pixels=self._pixels, labels=self._labels, threads=self._threads
            )
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            return self._json_lines(content.path, str(content), content.open)
        if b"\0" in head:
            kind = next((kind for magic, kind in _REFUSED.items() if head.startswith(magic)), "of no known kind")
            raise InputError(
                f"{content} is {kind}: it begins with {head[:8].hex(' ')}, "
                "expected .npy, .npz, IDX, CSV, Parquet, JSON lines, or images"
            )
        return CsvReader(content, self._shape, pixels=self._pixels, labels=self._labels)

    def _zip(self, file: Path, prefix: str) -> Reader:
        """The reader of a zip of arrays, image files or one table; hidden members are ignored."""
        with reading(file), zipfile.ZipFile(file) as archive:
            members = {
                member.filename: path
                for member in archive.infolist()
                if not member.filename.endswith(("/", "\\")) and (path := visible_path(member.filename)) is not None
            }
        images = [name for name, path in members.items() if is_image_name(path)]
        arrays = [name for name in members if name.endswith(npy.ENDING)]
        if arrays and (self._pixels is not None or not images):
            return npy.open_npz(file, self._shape, pixels=self._pixels, labels=self._labels)
        if images:
            both = [name for name in arrays if npy.Array(file, name).holds(self._shape.features)]
            if both:
                raise InputError(
                    f"{file} has {len(images)} image files and arrays of images ({clip_list(both)}), expected either, "
                    "or --pixels with the name of an array"
                )
            return self._images(str(file), Zip(file), prefix)
        if len(members) != 1:
            raise InputError(
                f"{file} is a zip without image files, without arrays, and of {len(members)} other files, "
                f"expected one: {clip_list(members)}"
            )
        content = InputFile(file, *members)
        return self._table(content, content.begin(_HEAD))

    def _images(self, path: str, source: ImageFiles | Tar | Zip, prefix: str = "") -> ImagesReader:
        return ImagesReader(
            path,
            source,
            self._shape,
            prefix=prefix,
            labels=self._labels,
            processes=self._threads,
            pictures=self._pictures,
        )

    def _json_lines(
        self, file: Path | None, path: str, open_: Callable[[], AbstractContextManager[BinaryIO]]
    ) -> JsonLinesReader:
        return JsonLinesReader(
            file, path, open_, self._shape, pixels=self._pixels, labels=self._labels, processes=self._threads
        )


def _expand(text: str) -> list[str]:
    """What a glob stands for, sorted; anything else stands for itself."""
    if text == STANDARD_INPUT or Path(text).exists():
        return [text]
    if not glob.has_magic(text):
        raise InputError(f"{text} does not exist")
    several = "**" in Path(text).parts  # which names folders and what is in them
    said = Path(text).parts
    found = sorted(
        path
        for path in glob.glob(text, recursive=True)
        if not is_hidden("/".join(part for part in Path(path).parts if part not in said))
        and not (several and os.path.isdir(path))
    )
    if not found:
        raise InputError(f"{text} matches no file")
    return found
