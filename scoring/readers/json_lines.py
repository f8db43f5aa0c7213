"""JSON lines, from a file or from standard input: on each line an object, or the list of pixels alone."""

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from scoring.chunk import InputError, Kind, RowError, Shape
from scoring.readers import fingerprint
from scoring.readers.cells import Pixels, is_encoded
from scoring.readers.choice import PIXEL_NAMES
from scoring.readers.decoding import Decoder
from scoring.readers.labels import LABEL_NAMES, Labels
from scoring.readers.lines import Lines
from scoring.readers.numbers import judge, to_pixels, wrong_length
from scoring.readers.reader import Block, Wanted

STANDARD_INPUT = "-"


class JsonLinesReader:
    """Rows of JSON lines; their number is known only once they were read."""

    named = False
    rows: int | None = None

    def __init__(
        self,
        path: str,
        open_: Callable[[], AbstractContextManager[BinaryIO]],
        shape: Shape,
        *,
        pixels: str | None,
        labels: str | None,
        processes: int,
    ) -> None:
        """Reads the first line. `path` is `-` where `open_` gives a stream that cannot be read twice."""
        self.path = path
        self._open, self._shape, self._processes = open_, shape, processes
        self._name = "standard input" if path == STANDARD_INPUT else path
        self._pixels = PIXEL_NAMES if pixels is None else (pixels,)
        self._label_names = LABEL_NAMES if labels is None else (labels,)
        self._asked = labels is not None
        self._labels = Labels(shape, strict=self._asked)
        self._stream: tuple[AbstractContextManager[BinaryIO], Lines] | None = self._begin()
        first = self._stream[1].peek()
        if path != STANDARD_INPUT:
            self._end()
        record = _parse(first)
        self._label(record, 1)
        self.labelled = self._asked or (isinstance(record, dict) and any(name in record for name in LABEL_NAMES))
        self.encoded = isinstance(_field(record, self._pixels), str)

    def fingerprint(self) -> dict[str, Any]:
        """See `Reader`."""
        return {"path": self.path} if self.path == STANDARD_INPUT else fingerprint.of_file(Path(self.path))

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

    def _begin(self) -> tuple[AbstractContextManager[BinaryIO], Lines]:
        context = self._open()
        self._stream = (context, Lines(context.__enter__(), self._name, quoted=False))
        return self._stream

    def _end(self) -> None:
        if self._stream is not None:
            self._stream[0].__exit__(None, None, None)
            self._stream = None

    def _block(self, lines: Lines, start: int, rows: int, decoder: Decoder) -> Block:
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
        for place, decoded in zip(files, decoder.decode(files.values()), strict=True):
            if isinstance(decoded, str):
                errors[place] = RowError(Kind.IMAGE, f"{self._name}, line {start + place + 1}: {decoded}")
            else:
                pixels[place] = decoded
        shown = None
        if self.labelled:
            shown = self._labels.read(np.array(labels, object), lambda row: f"{self._name}, line {start + row + 1}")
        return Block(pixels[:row], errors, labels=shown)

    def _label(self, record: Any, line: int) -> Any:
        """What a line says of its label, None for nothing. Raises `InputError` where that was asked for."""
        if isinstance(record, dict):
            for name in self._label_names:
                if name in record:
                    return record[name]
        if self._asked and isinstance(record, dict | list):
            raise InputError(
                f"{self._name}, line {line}: it has no field {self._label_names[0]} for labels, "
                "expected one, with null where nobody knows, or a file of labels with that name"
            )
        return None

    def _read(self, record: Any, where: str) -> Pixels | bytes | RowError:
        """The pixels of one line, or an image file still to be decoded."""
        if not isinstance(record, dict | list):
            return RowError(Kind.UNREADABLE, f"{where}: it is no JSON object or list")
        value = _field(record, self._pixels)
        if value is None:
            return RowError(Kind.MISSING, f"{where}: it has no field {' or '.join(self._pixels)}")
        if isinstance(value, str):
            return self._bytes(value, where)
        try:
            values = np.array(value).reshape(-1)
        except (ValueError, OverflowError):
            return RowError(Kind.LENGTH, f"{where}: its lists are not of one length")
        if len(values) != self._shape.features:
            return wrong_length(len(values), self._shape, where)
        if values.dtype.kind not in "buif":
            for place, each in enumerate(np.array(value, object).reshape(-1).tolist()):
                if each is None:
                    return judge(None, self._shape, f"{where}, value {place}")
                if not isinstance(each, int | float):
                    text = json.dumps(each)[:40]
                    return RowError(Kind.UNREADABLE, f"{where}, value {place}: {text} is no number")
            values = np.array([_float(each) for each in np.array(value, object).reshape(-1).tolist()])
        found, flaws = to_pixels(values[None], self._shape, lambda _, place: f"{where}, value {place}")
        return flaws[0] if flaws else found[0]

    def _bytes(self, text: str, where: str) -> Pixels | bytes | RowError:
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return RowError(Kind.UNREADABLE, f"{where}: its text is no Base64")
        if len(data) == self._shape.features and not is_encoded(data):
            found, flaws = to_pixels(
                np.frombuffer(data, np.uint8)[None], self._shape, lambda _, place: f"{where}, byte {place}"
            )
            return flaws[0] if flaws else found[0]
        return data


def _parse(line: bytes) -> Any:
    """What is on a line; None if it is no JSON."""
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


def _field(record: Any, names: tuple[str, ...]) -> Any:
    """The first of the fields of pixels, `names`, that the record has; a list is such a field itself."""
    if isinstance(record, list):
        return record
    return next((record[name] for name in names if name in record), None) if isinstance(record, dict) else None
