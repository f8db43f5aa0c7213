"""Messages as gRPC frames them: one byte that says whether it is compressed, four of length, the message.

See "gRPC over HTTP2" in grpc's documentation, Length-Prefixed-Message.
"""

import zlib
from typing import Literal, get_args

from engine.errors import LimitReached, MalformedCall

Encoding = Literal["identity", "gzip", "deflate"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

PREFIX = 5
_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
# Level 1: scores hardly compress, and what does is mostly zeros.
_LEVEL = 1


class Frames:
    """Reads the frames of one request."""

    def __init__(self, max_bytes: int, encoding: Encoding) -> None:
        """`max_bytes` is the largest message; `encoding` that of messages whose frame says it is compressed."""
        self._max_bytes = max_bytes
        self._encoding = encoding

    def length(self, prefix: bytes) -> int:
        """Bytes of the message after the first five of its frame. Raises `MalformedCall` and `LimitReached`."""
        if prefix[0] > 1:
            raise MalformedCall(f"a message begins with the byte {prefix[0]}, expected 0 or 1, compressed or not")
        length = int.from_bytes(prefix[1:PREFIX], "big")
        if length > self._max_bytes:
            raise LimitReached(f"the message has {length} bytes, expected at most {self._max_bytes}")
        return length

    def message(self, framed: bytes) -> tuple[bytes, int]:
        """The message of a whole frame: it begins at that place of the bytes.

        Raises `MalformedCall`, and `LimitReached` when it is too large once it is decompressed.
        """
        if framed[0] == 0:
            return framed, PREFIX
        if self._encoding == "identity":
            raise MalformedCall("a message says it is compressed, and the request names no grpc-encoding")
        stream = zlib.decompressobj(_WINDOW_BITS[self._encoding])
        try:
            # One byte more than allowed is enough to know, whatever it would have grown to.
            whole = stream.decompress(memoryview(framed)[PREFIX:], self._max_bytes + 1)
        except zlib.error:
            raise MalformedCall(f"a message is no valid {self._encoding}") from None
        if len(whole) > self._max_bytes:
            raise LimitReached(f"the message has more than {self._max_bytes} bytes once it is decompressed")
        if not stream.eof or stream.unused_data:
            raise MalformedCall(f"a message is no valid {self._encoding}")
        return whole, 0


class FrameReader:
    """Splits the bytes of a stream of messages, wherever they were cut."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._parts: list[bytes] = []
        self._at = 0  # in the first part; everything before was read
        self._size = 0  # of what was not

    def feed(self, data: bytes) -> None:
        """Take what came next."""
        if data:
            self._parts.append(data)
            self._size += len(data)

    def next(self) -> bytes | None:
        """The next whole message, or None when more bytes are needed. Raises `MalformedCall` and `LimitReached`."""
        if self._size < PREFIX:
            return None
        prefix = self._first(PREFIX)[self._at : self._at + PREFIX]
        end = PREFIX + self._frames.length(prefix)
        if self._size < end:
            return None
        first = self._first(end)
        message, start = self._frames.message(first[self._at : self._at + end])
        self._at += end
        self._size -= end
        if self._at == len(first):
            del self._parts[0]
            self._at = 0
        return message[start:]

    def _first(self, size: int) -> bytes:
        """The first part, made of all when fewer than `size` bytes of it are unread."""
        if len(self._parts[0]) - self._at < size:
            self._parts[0] = self._parts[0][self._at :]
            self._parts = [b"".join(self._parts)]
            self._at = 0
        return self._parts[0]

    def end(self) -> None:
        """Nothing more will come. Raises `MalformedCall` when a message is not whole."""
        if self._size:
            raise MalformedCall("the request ended before its last message was whole")


def is_plain(data: bytes) -> bool:
    """Whether the bytes are one frame, whole and not compressed."""
    return data[:1] == b"\0" and int.from_bytes(data[1:PREFIX], "big") == len(data) - PREFIX


def frame(message: bytes, encoding: Encoding = "identity") -> bytes:
    """One message as it is sent."""
    if encoding == "identity":
        return b"".join((b"\0", len(message).to_bytes(4, "big"), message))
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[encoding])
    packed = stream.compress(message) + stream.flush()
    return b"\1" + len(packed).to_bytes(4, "big") + packed
