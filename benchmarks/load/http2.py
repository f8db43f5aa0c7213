"""As much of HTTP/2 as unary gRPC calls need, small enough to keep up with a fast server.

A client that costs as much as the server would measure itself. This one writes headers that it encoded
once and reads of the answers no more than their frames: a call succeeded when a message came back, since
a gRPC error is headers alone. RFC 9113 for the frames, RFC 7541 for the header block.
"""

import socket
import struct
from collections import deque

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 0x3, 0x4
LARGEST_WINDOW = 2**31 - 1
FRAME_BYTES = 16_384

# With the four literals below in the table, newest first from index 62 on: POST, http, path, host, type, te.
KNOWN_HEADERS = bytes([0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62])


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame with its nine bytes of header."""
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def first_headers(path: str, authority: str) -> bytes:
    """The header block of a connection's first call, which puts its four literals into the server's table."""

    def literal(name: bytes, value: str) -> bytes:
        assert len(value) < 127
        return name + bytes([len(value)]) + value.encode()

    return bytes([0x83, 0x86]) + b"".join(
        [
            literal(b"\x44", path),
            literal(b"\x41", authority),
            literal(b"\x5f", "application/grpc"),
            literal(b"\x40\x02te", "trailers"),
        ]
    )


class Connection:
    """Calls of one method to 127.0.0.1. Nothing here blocks but the constructor."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._out = bytearray(
            PREFACE
            + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, LARGEST_WINDOW))
            + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_WINDOW - 65_535))
        )
        self._in = bytearray()
        self._headers = first_headers(path, f"127.0.0.1:{port}")
        self._next_stream = 1
        self._window = self._stream_window = 65_535
        self._max_streams = 2**31
        self._unsent: dict[int, tuple[memoryview, int]] = {}
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._received_bytes = 0
        self._message_bytes: dict[int, int] = {}
        self._finished: list[tuple[int, bool]] = []

    @property
    def open_calls(self) -> int:
        """Calls the server has not answered yet."""
        return len(self._message_bytes) + len(self._waiting)

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the socket."""
        return bool(self._out)

    def call(self, message: bytes) -> int:
        """Begin a call with a message that has its five bytes of prefix. Returns its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        if len(self._message_bytes) < self._max_streams:
            self._begin(stream, message)
        else:
            self._waiting.append((stream, message))
        return stream

    def flush(self) -> None:
        """Hand the socket what it takes now."""
        if self._out:
            try:
                del self._out[: self.socket.send(self._out)]
            except BlockingIOError:
                return

    def receive(self) -> list[tuple[int, bool]]:
        """Streams that ended, and whether each brought a message. Raises `ConnectionError` at the end of it."""
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionError("the server closed the connection")
        self._in += data
        at, buffer = 0, self._in
        while len(buffer) - at >= 9:
            head, flags, stream = struct.unpack_from(">IBI", buffer, at)
            length = head >> 8
            if len(buffer) - at - 9 < length:
                break
            self._read(head & 0xFF, flags, stream, at + 9, length)
            at += 9 + length
        del buffer[:at]
        finished, self._finished = self._finished, []
        return finished

    def _begin(self, stream: int, message: bytes) -> None:
        self._message_bytes[stream] = 0
        self._out += frame(HEADERS, END_HEADERS, stream, self._headers)
        self._headers = KNOWN_HEADERS
        if len(message) <= FRAME_BYTES and len(message) <= min(self._window, self._stream_window):
            self._window -= len(message)
            self._out += frame(DATA, END_STREAM, stream, message)
        else:
            self._unsent[stream] = memoryview(message), self._stream_window
            self._pump(stream)

    def _pump(self, stream: int) -> None:
        """Send of a message what both windows allow."""
        rest, window = self._unsent[stream]
        while len(rest) and (size := min(len(rest), window, self._window, FRAME_BYTES)) > 0:
            self._out += frame(DATA, END_STREAM if size == len(rest) else 0, stream, bytes(rest[:size]))
            rest, window = rest[size:], window - size
            self._window -= size
        if len(rest):
            self._unsent[stream] = rest, window
        else:
            del self._unsent[stream]

    def _read(self, kind: int, flags: int, stream: int, at: int, length: int) -> None:
        if kind == DATA:
            self._received_bytes += length
            if stream in self._message_bytes:
                self._message_bytes[stream] += length
            if self._received_bytes > 2**30:
                self._out += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received_bytes))
                self._received_bytes = 0
            if flags & END_STREAM:
                self._end(stream)
        elif kind == HEADERS:
            if flags & END_STREAM:
                self._end(stream)
        elif kind == WINDOW_UPDATE:
            self._widen(stream, int.from_bytes(self._in[at : at + 4], "big"))
        elif kind == RST_STREAM:
            if stream in self._message_bytes:
                self._message_bytes[stream] = 0
            self._end(stream)
        elif kind == SETTINGS and not flags & ACK:
            for key, value in struct.iter_unpack(">HI", self._in[at : at + length]):
                self._set(key, value)
            self._out += frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self._out += frame(PING, ACK, 0, bytes(self._in[at : at + length]))
        elif kind == GOAWAY:
            raise ConnectionError("the server sends the connection away")

    def _end(self, stream: int) -> None:
        if stream not in self._message_bytes:
            return  # reset after its end
        self._finished.append((stream, self._message_bytes.pop(stream) > 0))
        self._unsent.pop(stream, None)
        if self._waiting and len(self._message_bytes) < self._max_streams:
            self._begin(*self._waiting.popleft())

    def _widen(self, stream: int, size: int) -> None:
        if stream == 0:
            self._window += size
            for waiting in list(self._unsent):
                self._pump(waiting)
        elif stream in self._unsent:
            rest, window = self._unsent[stream]
            self._unsent[stream] = rest, window + size
            self._pump(stream)

    def _set(self, key: int, value: int) -> None:
        if key == MAX_CONCURRENT_STREAMS:
            self._max_streams = value
        elif key == INITIAL_WINDOW_SIZE:
            change, self._stream_window = value - self._stream_window, value
            for stream, (rest, window) in list(self._unsent.items()):
                self._unsent[stream] = rest, window + change
                self._pump(stream)
