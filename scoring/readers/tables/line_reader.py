"""Reads a stream of bytes by lines."""

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import InputError
from scoring.readers.files import reading

_READ_BYTES = 1 << 20
_LONGEST = 64 << 20

_NEWLINE, _QUOTE = 10, 34
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineReader:
    """Lines of a stream, without empty lines at its end and without a byte order mark of UTF-8."""

    def __init__(self, file: BinaryIO, name: str, *, quoted: bool) -> None:
        """`name` is for messages. With `quoted`, line ends between double quotes belong to the line."""
        self._file, self._name, self._quoted = file, name, quoted
        self._buffer = b""
        self._ends = np.zeros(0, np.int64)
        """Positions after the line ends in the buffer, without possibly empty lines at its end."""
        self._used = 0
        """Number of these lines that `take` has returned."""
        self._begun = self._over = False
        self._passed = 0
        """Number of line ends before the buffer, including those between quotes."""

    def peek(self) -> bytes:
        """The next line with its end, b"" after the last one."""
        while not self._left() and self._fill():
            pass
        return self._slice(1)

    def take(self, most: int) -> tuple[bytes, int]:
        """At least one and at most `most` whole lines with their ends, and their number; b"" and 0 after the last.

        Raises `InputError` if the stream fails, a line is longer than 64 MiB, or a quote is open at the end.
        """
        while not self._left() and self._fill():
            pass
        count = min(most, self._left())
        lines = self._slice(count)
        self._used += count
        return lines, count

    def _left(self) -> int:
        return len(self._ends) - self._used

    def _slice(self, count: int) -> bytes:
        if not count or not self._left():
            return b""
        begin = int(self._ends[self._used - 1]) if self._used else 0
        return self._buffer[begin : int(self._ends[self._used + count - 1])]

    def _fill(self) -> bool:
        """Read more bytes into the buffer; False at the end."""
        if self._over:
            return False
        taken = int(self._ends[self._used - 1]) if self._used else 0
        quotes = self._quoted and self._buffer.find(b'"', 0, taken) >= 0
        self._passed += self._buffer.count(b"\n", 0, taken) if quotes else self._used
        rest = self._buffer[taken:]
        if len(rest) > _LONGEST:
            raise InputError(
                f"{self._name} has a line of more than {_LONGEST} bytes, from line {self._passed + 1} on, "
                "expected one image on a line"
            )
        with reading(self._name):
            more = self._file.read(max(_READ_BYTES, len(rest)))
        self._used = 0
        if not self._begun:
            more, self._begun = more.removeprefix(_BYTE_ORDER_MARK), bool(more)
        if more:
            self._buffer = rest + more
        else:
            self._over = True
            stripped = rest.rstrip(b"\r\n")
            self._buffer = stripped + b"\n" if stripped else b""
        self._ends = self._find_ends()
        if self._over and self._buffer and (not len(self._ends) or self._ends[-1] != len(self._buffer)):
            line = self._passed + 1 + self._buffer.count(b"\n", 0, _open_quote(self._buffer))
            raise InputError(f"{self._name}, line {line}: its quotes do not pair, the one opened there has no end")
        return True

    def _find_ends(self) -> NDArray[np.int64]:
        found = find_line_ends(self._buffer, quoted=self._quoted)
        if not self._over:  # more empty lines may come, up to the end of the stream
            found = found[found <= len(self._buffer.rstrip(b"\r\n"))]
        return found


def find_line_ends(buffer: bytes, *, quoted: bool) -> NDArray[np.int64]:
    """Positions after each line end in `buffer`; with `quoted`, without those between double quotes."""
    raw = np.frombuffer(buffer, np.uint8)
    ends = raw == _NEWLINE
    if quoted and b'"' in buffer:
        ends &= np.bitwise_xor.accumulate((raw == _QUOTE).view(np.uint8)) == 0
    return np.flatnonzero(ends) + 1


def _open_quote(buffer: bytes) -> int:
    """Position of the quote that is open at the end of `buffer`; a doubled quote inside opens nothing."""
    at = buffer.rfind(b'"')
    while at > 0 and buffer[at - 1] == _QUOTE:
        at = buffer.rfind(b'"', 0, at - 1)
    return at
