"""JSON lines from a file or standard input: each line is an object or the list of pixels."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from imaging.image_text import decode_image_text
from scoring.chunk import ErrorKind, InputError, RowError, Shape
from scoring.messages import clip, clip_list
from scoring.readers import fingerprint
from scoring.readers.images.decoding import Decoder
from scoring.readers.labels.labels import NONE, Labels, find_label_name
from scoring.readers.reader import Block, Wanted
from scoring.readers.tables.column_selection import PIXEL_NAMES, group_pixels, match_pixels
from scoring.readers.tables.image_cells import Pixels, is_encoded
from scoring.readers.tables.line_reader import LineReader
from scoring.readers.validate import describe_error, to_pixels, wrong_length

STANDARD_INPUT = "-"


class JsonLinesReader:
    """Rows of JSON lines; their number is known only after they are read."""

    named = False
    rows: int | None = None

    def __init__(
        self,
        file: Path | None,
        path: str,
        open_: Callable[[], AbstractContextManager[BinaryIO]],
        shape: Shape,
        *,
        pixels: str | None,
        labels: str | None,
        processes: int,
    ) -> None:
        """Read the first line. `file` is None if `open_` returns a stream that cannot be read twice."""
        self.path = path
        self._file, self._open, self._shape, self._processes = file, open_, shape, processes
        self._name = "standard input" if file is None else path
        self._pixels = pixels
        self._asked, self._without = (None, True) if labels == NONE else (labels, False)
        self._labels = Labels(shape, strict=self._asked is not None)
        # Records of a file mostly have the same fields.
        self._label_field = lru_cache(16)(self._find_label)
        self._pixel_fields = lru_cache(16)(self._find_pixels)
        self._stream: tuple[AbstractContextManager[BinaryIO], LineReader] | None = self._begin()
        first = self._stream[1].peek()
        if file is not None:
            self._end()
        record = _parse(first)
        self._label(record, 1)
        self.labelled = True  # the first line that has a label may be any
        value = self._value(record)
        self.encoded = isinstance(value, str) or (isinstance(value, dict) and "bytes" in value)

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return {"path": self.path} if self._file is None else fingerprint.of_file(self._file)

    def blocks(self, rows: int, wanted: Wanted) -> Iterator[Block | int]:
        """See `Reader`."""
        lines = (self._stream or self._begin())[1]
        try:
            with Decoder(self._shape.prepare, self._processes) as decoder:
                index = start = 0
                while lines.peek():
                    count = 0
                    if wanted(index):
                        block = self._block(lines, start, rows, decoder)
                        count = len(block)
                        yield block
                    else:
                        while count < rows and (passed := lines.take(rows - count)[1]):
                            count += passed
                        yield count
                    index, start = index + 1, start + count
        finally:
            self._end()

    def _begin(self) -> tuple[AbstractContextManager[BinaryIO], LineReader]:
        context = self._open()
        self._stream = (context, LineReader(context.__enter__(), self._name, quoted=False))
        return self._stream

    def _end(self) -> None:
        if self._stream is not None:
            self._stream[0].__exit__(None, None, None)
            self._stream = None

    def _block(self, lines: LineReader, start: int, rows: int, decoder: Decoder) -> Block:
        pixels = np.zeros((rows, self._shape.features), np.uint8)
        errors: dict[int, RowError] = {}
        labels: list[Any] = []
        files: dict[int, bytes] = {}
        row = 0
        while row < rows:
            line, count = lines.take(1)
            if not count:
                break
            where = f"{self._name}, line {start + row + 1}"
            record = _parse(line)
            labels.append(self._label(record, start + row + 1))
            found = self._read(record, where)
            if isinstance(found, RowError):
                errors[row] = found
            elif isinstance(found, bytes):
                files[row] = found
            else:
                pixels[row] = found
            row += 1
        warnings = {}
        for place, decoded in zip(files, decoder.decode(files.values()), strict=True):
            if isinstance(decoded, str):
                errors[place] = RowError(ErrorKind.IMAGE, f"{self._name}, line {start + place + 1}: {decoded}")
            else:
                pixels[place], warnings[place] = decoded.pixels, decoded.warnings
        shown = None
        if self.labelled:
            shown = self._labels.read(labels, lambda row: f"{self._name}, line {start + row + 1}")
        return Block(pixels[:row], errors, warnings, labels=shown)

    def _label(self, record: Any, line: int) -> Any:
        """What a line says of its label, None for nothing. Raises `InputError` where that was asked for."""
        field = self._label_field(tuple(record)) if isinstance(record, dict) else None
        if field is None and self._asked is not None and isinstance(record, dict | list):
            raise InputError(
                f"{self._name}, line {line}: it has no field {clip(self._asked)} for labels, expected one, "
                "with null where it is not known, or a file of labels with that name"
            )
        return None if field is None else record[field]

    def _find_label(self, fields: tuple[str, ...]) -> str | None:
        if self._asked is not None:
            return self._asked if self._asked in fields else None
        return None if self._without else find_label_name(fields)

    def _find_pixels(self, fields: tuple[str, ...]) -> str | tuple[str, ...] | None:
        """The field with all pixels, or the fields with one pixel each in their order."""
        if self._pixels is not None:
            found = match_pixels(fields, self._pixels)
            return self._pixels if self._pixels in fields else found if len(found) == self._shape.features else None
        named = next((field for name in PIXEL_NAMES for field in fields if field.lower() == name), None)
        groups, _ = group_pixels([field for field in fields if field != self._label_field(fields)], self._shape)
        return named or (groups[0] if len(groups) == 1 else None)

    def _value(self, record: Any) -> Any:
        """The pixels of a line: a field, a group of fields, or the line itself if it is a list."""
        if not isinstance(record, dict):
            return record if isinstance(record, list) else None
        fields = self._pixel_fields(tuple(record))
        return [record[field] for field in fields] if isinstance(fields, tuple) else record.get(fields)

    def _missing(self, record: Any) -> str:
        fields = self._pixel_fields(tuple(record))
        if isinstance(fields, str):
            return f"its field {clip(fields)} is empty, expected pixels, Base64, a data: URL or an object with bytes"
        names = f"field {' or '.join(PIXEL_NAMES)}, nor pixel0 … pixel{self._shape.features - 1}"
        if self._pixels is not None:
            names = f"field {clip(self._pixels)}, nor {self._shape.features} of that pattern"
        return f"it has no {names}; its fields: {clip_list(record)}"

    def _read(self, record: Any, where: str) -> Pixels | bytes | RowError:
        """The pixels of one line, or an image file that is not decoded yet."""
        if not isinstance(record, dict | list):
            return RowError(
                ErrorKind.UNREADABLE, f"{where}: it is no JSON object or list, expected one image on each line"
            )
        value = self._value(record)
        if isinstance(value, dict) and "bytes" in value:  # as Hugging Face's data sets hold image files
            value = value["bytes"]
        if value is None:
            return RowError(ErrorKind.MISSING, f"{where}: {self._missing(record)}")
        if isinstance(value, str):
            return self._bytes(value, where)
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            what = f"an object with {clip_list(value)}" if isinstance(value, dict) else "a list of objects"
            return RowError(
                ErrorKind.UNREADABLE,
                f"{where}: its pixels are {what}, expected numbers, Base64, a data: URL or an object with bytes, "
                "and one image on a line",
            )
        try:
            values = np.array(value).reshape(-1)
        except (ValueError, OverflowError):
            return RowError(ErrorKind.LENGTH, f"{where}: its lists are not of one length")
        if len(values) != self._shape.features:
            return wrong_length(len(values), self._shape, where)
        if values.dtype.kind not in "buif":
            for place, each in enumerate(np.array(value, object).reshape(-1).tolist()):
                if each is None:
                    return describe_error(None, self._shape, f"{where}, value {place}")
                if not isinstance(each, int | float):
                    text = json.dumps(each)[:40]
                    return RowError(
                        ErrorKind.UNREADABLE,
                        f"{where}, value {place}: {text} is no number, expected {self._shape.features} of them",
                    )
            values = np.array([_float(each) for each in np.array(value, object).reshape(-1).tolist()])
        found, flaws = to_pixels(values[None], self._shape, lambda _, place: f"{where}, value {place}")
        return flaws[0] if flaws else found[0]

    def _bytes(self, text: str, where: str) -> Pixels | bytes | RowError:
        try:
            data = decode_image_text(text)
        except ValueError as error:
            return RowError(ErrorKind.UNREADABLE, f"{where}: {error}")
        if len(data) == self._shape.features and not is_encoded(data):
            found, flaws = to_pixels(
                np.frombuffer(data, np.uint8)[None], self._shape, lambda _, place: f"{where}, byte {place}"
            )
            return flaws[0] if flaws else found[0]
        return data


def _parse(line: bytes) -> Any:
    """The JSON value of a line, or None if it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _float(number: float) -> float:
    """A number, infinite where it is too large for a float."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
