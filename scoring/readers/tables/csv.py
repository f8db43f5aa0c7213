"""CSV: a column for each pixel, with or without a header.

Lines of plain integers, the usual content of such files, are parsed by NumPy, all bytes at once;
any other line, by itself, says what is wrong with it or turns out to be fine.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import FOREIGN, UNKNOWN, ErrorKind, InputError, RowError, Shape
from scoring.readers import fingerprint
from scoring.readers.files import InputFile
from scoring.readers.labels.labels import Labels
from scoring.readers.reader import Block, Wanted
from scoring.readers.tables.column_selection import ColumnSelection, choose
from scoring.readers.tables.line_reader import LineReader, find_line_ends
from scoring.readers.text import is_number, to_floats
from scoring.readers.validate import describe_error, to_pixels

# What is parsed at once stays in the second cache together with what is made of it.
_PIECE_BYTES = 1 << 16
_DELIMITERS = b",;\t|"
_BLANK, _NEWLINE = 32, 10
# Blanks that are not single delimiters: at the beginning or the end of a line, or several in a row.
_MORE_BLANKS = re.compile(rb"(?:^|\n) | (?=[ \r\n])")

Pixels = NDArray[np.uint8]


class CsvReader:
    """Rows of a CSV file; their number is known only after it is read."""

    named = False
    encoded = False
    rows: int | None = None

    def __init__(self, content: InputFile, shape: Shape, *, pixels: str | None, labels: str | None) -> None:
        """Reads the first line. Raises `InputError`."""
        self.path = str(content)
        self._content, self._shape = content, shape
        with content.open() as file:
            first = LineReader(file, self.path, quoted=True).peek()
        if b"\0" in first:
            raise InputError(
                f"{self.path} is of no known kind, expected .npy, .npz, IDX, CSV, Parquet, JSON lines or images"
            )
        found = max(_DELIMITERS, key=first.count)
        self._delimiter = found if first.count(found) else _BLANK
        text = first.decode(errors="replace").rstrip("\r\n")
        if "\r" in text and '"' not in text:
            raise InputError(f"{self.path}, line 1: its lines end in CR alone, expected LF or CR LF")
        try:
            fields = [field.strip() for field in self._split(text.lstrip("# "))]  # numpy.savetxt begins names with #
        except csv.Error as error:
            raise InputError(f"{self.path}, line 1: {error}") from None
        self._header = not _is_data(fields)
        names = fields if self._header else [str(column) for column in range(len(fields))]
        self._names = names
        self._selection: ColumnSelection = choose([], names, [], shape, self.path, pixels=pixels, labels=labels)
        columns = {name: column for column, name in enumerate(names)}
        self._order = [columns[name] for name in self._selection.pixels]
        run = range(self._order[0], self._order[0] + len(self._order))
        self._columns = slice(run.start, run.stop) if self._order == list(run) else self._order
        self._label_column = None if self._selection.label is None else columns[self._selection.label]
        self._labels = Labels(shape, strict=labels is not None)
        self._label_of = self._labels.of_bytes()
        self.labelled = self._label_column is not None
        self._piece = max(1, _PIECE_BYTES // (2 * len(names)))

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return fingerprint.of_file(self._content.path)

    def blocks(self, rows: int, wanted: Wanted) -> Iterator[Block | int]:
        """See `Reader`."""
        with self._content.open() as file:
            lines = LineReader(file, self.path, quoted=True)
            if self._header:
                lines.take(1)
            index = start = 0
            while lines.peek():
                if wanted(index):
                    block = self._block(lines, start, rows)
                    count = len(block)
                    yield block
                else:
                    count = 0
                    while count < rows and (passed := lines.take(rows - count)[1]):
                        count += passed
                    yield count
                index, start = index + 1, start + count

    def _block(self, lines: LineReader, start: int, rows: int) -> Block:
        pixels = np.empty((rows, self._shape.features), np.uint8)
        labels = np.full(rows, UNKNOWN, np.int32)
        errors: dict[int, RowError] = {}
        done = 0
        while done < rows:
            piece, count = lines.take(min(self._piece, rows - done))
            if not count:
                break
            plain = self._parse(piece, count, pixels[done : done + count], labels[done : done + count])
            if not plain.all():
                ends = [0, *find_line_ends(piece, quoted=True).tolist()]
                for place in np.flatnonzero(~plain).tolist():
                    row = done + place
                    line = piece[ends[place] : ends[place + 1]].decode(errors="replace").rstrip("\r\n")
                    error = self._read(line, start + row, pixels[row], labels[row : row + 1])
                    if error:
                        errors[row] = error
                        pixels[row] = 0
            done += count
        return Block(pixels[:done], errors, labels=labels[:done] if self.labelled else None)

    def _parse(self, piece: bytes, count: int, pixels: Pixels, labels: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Fill in the values of plain lines. Returns bool [count], whether each line is plain."""
        parsed = parse_plain(piece, count, len(self._names), self._delimiter)
        if parsed is None:
            return np.zeros(count, np.bool_)
        values, are_plain = parsed
        plain = np.asarray(are_plain[:, self._columns].all(axis=1))
        pixels[:] = values[:, self._columns]
        if self._shape.pixel_max < 255:
            plain[(pixels > self._shape.pixel_max).any(axis=1)] = False
        if self._label_column is not None:
            shown = self._label_of[values[:, self._label_column]]
            plain &= are_plain[:, self._label_column] & (shown > FOREIGN)
            labels[plain] = shown[plain]
        return plain

    def _split(self, line: str) -> list[str]:
        """The fields of a line without its end; unquoted fields are split as in `parse_plain`."""
        blank = self._delimiter == _BLANK
        line = line.strip(" ") if blank else line
        if '"' in line:
            return next(csv.reader([line], delimiter=chr(self._delimiter), skipinitialspace=True))
        fields = line.split(chr(self._delimiter)) if line else []
        return [field for field in fields if field] if blank else fields

    def _read(self, line: str, row: int, pixels: Pixels, label: NDArray[np.int32]) -> RowError | None:
        """Read one line of any form."""
        where = f"{self.path}, line {row + 1 + self._header}"
        try:
            fields = self._split(line)
        except csv.Error:
            return RowError(ErrorKind.UNREADABLE, f"{where}: its quotes do not pair, or it is too long")
        if len(fields) != len(self._names):
            return RowError(ErrorKind.LENGTH, f"{where}: it has {len(fields)} fields, expected {len(self._names)}")
        if self._label_column is not None:
            label[:] = self._labels.read([fields[self._label_column]], lambda _: where)
        texts = [fields[column] for column in self._order]
        try:
            values = np.array(to_floats(texts))
        except ValueError:
            column = next(column for column, text in enumerate(texts) if not is_number(text))
            place = f"{where}, column {self._selection.pixels[column]}"
            if not texts[column].strip():
                return describe_error(None, self._shape, place)
            return RowError(
                ErrorKind.UNREADABLE,
                f"{place}: {texts[column][:40]!r} is no number, expected a whole number in 0..{self._shape.pixel_max}",
            )
        found, errors = to_pixels(
            values[None], self._shape, lambda _, column: f"{where}, column {self._selection.pixels[column]}"
        )
        pixels[:] = found[0]
        return errors.get(0)


def parse_plain(piece: bytes, lines: int, width: int, delimiter: int) -> tuple[Pixels, NDArray[np.bool_]] | None:
    """uint8 [lines, width] of the fields of whole lines, and bool of the same shape: whether a field is a whole
    number in 0..255, of no more than three digits and nothing else, with its value given; else that means nothing.

    None when a line has another number of fields, quotes, or blanks beside those that delimit.
    """
    if b'"' in piece or (delimiter == _BLANK and _MORE_BLANKS.search(piece)):
        return None
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n")
    if b".0" in piece:  # whole numbers, as they are written by who takes them for floats
        end = bytes([delimiter])
        piece = piece.replace(b".0" + end, end).replace(b".0\n", b"\n")
    raw = np.frombuffer(b"\n\n\n\n" + piece, np.uint8)
    newline = raw == _NEWLINE
    ends = newline | (raw == delimiter)
    at = np.flatnonzero(ends[4:])  # indexing by positions is ten times as fast as by bools
    if len(at) != lines * width or not newline[4:][at[width - 1 :: width]].all():
        return None
    # At each byte: what the number is that ends before it, looking back over three digits and what precedes them.
    digits = raw - np.uint8(ord("0"))
    inside = ends.view(np.uint8) - np.uint8(1)  # all bits set where no field ends
    two = inside[2:-2]
    three = two & inside[1:-3]
    ones, tens, hundreds = digits[3:-1], digits[2:-2] & two, digits[1:-3] & three
    values = tens * np.uint8(10) + ones
    strange = (ones > 9) | (tens > 9) | (hundreds > 2) | ((hundreds == 2) & (values > 55))
    strange |= (three & inside[:-4]) > 0
    values += hundreds * np.uint8(100)
    return values[at].reshape(lines, width), ~strange[at].reshape(lines, width)


def _is_data(fields: Sequence[str]) -> bool:
    """Whether a first line is data rather than names.

    That is numbers alone, which do not count 0, 1, 2, … or 1, 2, 3, …; or all but one, as a label in words, and some
    of them twice, as no names are.
    """
    texts = [text for text in fields if text]
    numbers = [text for text in texts if is_number(text)]
    if len(numbers) < len(texts):
        return len(numbers) == len(texts) - 1 and len(set(numbers)) < len(numbers)
    counts = len(texts) > 1 and texts in ([f"{n + first}" for n in range(len(texts))] for first in (0, 1))
    return bool(texts) and not counts
