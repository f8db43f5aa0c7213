"""The wire format of protobuf, as far as the quick forms of the two busiest RPCs need it.

A message is a row of fields, each a tag (number and type) and a value; a length-delimited value is its length
and its bytes. Messages written one after the other are one message, to which all of them contribute.
See the "Encoding" chapter of protobuf's documentation.
"""

from dataclasses import dataclass
from typing import NamedTuple

LENGTH_DELIMITED = 2
# Lengths beyond 2³⁵ are left to protobuf, which refuses them.
MAX_SHIFT = 28


def tag(number: int, kind: int = LENGTH_DELIMITED) -> int:
    """The tag of a field of number 1..15, one byte."""
    return number << 3 | kind


def varint(value: int) -> bytes:
    """A whole number of at least 0: seven bits a byte, the lowest first, the top bit set on all but the last."""
    if value < 0x80:
        return _SMALL[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = [bytes([value]) for value in range(0x80)]


def length_delimited(number: int, value: bytes) -> bytes:
    """A field of number 1..15 that holds `value`."""
    return bytes([tag(number)]) + varint(len(value)) + value


class Spans(NamedTuple):
    """Where the parts of a message lie."""

    begin: int
    """Where the field begins that is of no account, its tag included."""
    stop: int
    """The byte after it; both are 0 when it is not there."""
    head: int
    """Where the head ends: everything before the last field."""
    body: int
    """Where the bytes of the last field begin; the end of the message when it is not there."""


def split_message(data: bytes, start: int, last: int, aside: int = 0) -> Spans | None:
    """The parts of a message of length-delimited fields of which the last, or none, has the tag `last`.

    The message is all of `data` from `start` on; a field with the tag `aside` is told apart. None for every
    other message, one whose last field is empty and a malformed one too: who asks then lets protobuf itself
    look at it.
    """
    at, end = start, len(data)
    begin = stop = 0
    try:
        while at < end:
            kind = data[at]
            size = data[at + 1]
            body = at + 2
            if size > 0x7F:
                size &= 0x7F
                shift = 7
                while (more := data[body]) > 0x7F:
                    if shift > MAX_SHIFT:
                        return None
                    size |= (more & 0x7F) << shift
                    shift += 7
                    body += 1
                if shift > MAX_SHIFT:
                    return None
                size |= more << shift
                body += 1
            if kind == last:
                return Spans(begin, stop, at, body) if size and body + size == end else None
            if kind & 0x87 != LENGTH_DELIMITED or kind < 8:
                return None
            if kind == aside:
                if stop:
                    return None
                begin, stop = at, body + size
            at = body + size
    except IndexError:
        return None
    return Spans(begin, stop, end, end) if at == end else None


@dataclass(slots=True)
class LastRequest:
    """The message that came last: the next is mostly like it but for the bytes of its last field."""

    key: bytes
    """Its head."""
    before: bytes
    """The head, and the tag and the length of the last field."""
    size: int
    """Of the whole message."""

    def matches(self, data: bytes, start: int) -> bool:
        """Whether the message from `start` on has the same spans, nothing aside."""
        return len(data) - start == self.size and data.startswith(self.before, start)


NO_REQUEST_YET = LastRequest(b"", b"", -1)
