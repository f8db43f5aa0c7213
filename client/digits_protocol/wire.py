"""The part of protobuf's wire format that the fast paths of the two busiest RPCs need.

A message is a sequence of fields, each a tag (number and type) and a value; a length-delimited value is its length
and its bytes. Concatenated messages are one merged message. See "Encoding" in the documentation of protobuf.
"""

from dataclasses import dataclass
from typing import NamedTuple

LENGTH_DELIMITED = 2
# Greater lengths than 2³⁵ are left to protobuf, which rejects them.
MAX_SHIFT = 28


def tag(number: int, kind: int = LENGTH_DELIMITED) -> int:
    """The tag of a field of number 1..15, one byte."""
    return number << 3 | kind


def varint(value: int) -> bytes:
    """A varint of at least 0: seven bits a byte, the lowest first, the top bit set on all bytes but the last."""
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
    """Offsets of the parts of a message."""

    begin: int
    """Start of the field with the tag `aside`, at its tag."""
    stop: int
    """End of that field. Without such a field `begin` and `stop` are 0."""
    head: int
    """End of the head, which is all fields before the last one."""
    body: int
    """Start of the value of the last field. Without that field it is the end of the message."""


def split_message(data: bytes, start: int, last: int, aside: int = 0) -> Spans | None:
    """The parts of the message in `data[start:]`, if all its fields are length-delimited.

    The last field has the tag `last`, or no field has it; one field may have the tag `aside`. Returns None for any
    other message, including one with an empty last field and a malformed one: the caller then parses with protobuf.
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
    """The previous message: the next one often differs only in the value of the last field."""

    key: bytes
    """Its head."""
    before: bytes
    """The head, and tag and length of the last field."""
    size: int
    """Of the whole message."""

    def matches(self, data: bytes, start: int) -> bool:
        """Whether `data[start:]` has the same head and size, without a field aside."""
        return len(data) - start == self.size and data.startswith(self.before, start)


NO_REQUEST_YET = LastRequest(b"", b"", -1)
