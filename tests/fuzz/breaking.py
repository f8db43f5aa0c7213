"""HTTP/2 and HTTP/1 that is broken: frames changed, moved, invented, and floods of them."""

from tests.fuzz.mutations import Chance, mutated, some_bytes
from tests.fuzz.traffic import PREFACE, WINDOW, conversation

HEAD = 9  # bytes of a frame's header: three of length, type, flags, four of stream id
_CONVERSATION = conversation()
_REQUEST = (
    b"POST /digits.v1.DigitsService/Classify HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: 22\r\n\r\n" + b'{"model":"digits-8x8"}'
)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """A frame of HTTP/2, as wrong as it may be."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def broken_http2(chance: Chance) -> bytes:
    """All that a client sends over one connection."""
    if chance.random() < 0.03:
        return _no_http2(chance)
    frames = list(_CONVERSATION)
    for _ in range(chance.choice([1, 1, 2, 3])):
        at = chance.randrange(len(frames))
        frames[at : at + 1] = _changed(chance, frames[at], frames)
        if at < len(frames) and chance.random() < 0.2:
            other = chance.randrange(len(frames))
            frames[at], frames[other] = frames[other], frames[at]
    return PREFACE + b"".join(frames)


def _no_http2(chance: Chance) -> bytes:
    return chance.choice(
        [
            b"",
            mutated(chance, PREFACE),
            PREFACE,
            PREFACE + some_bytes(chance, 300),
            chance.randbytes(500),
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + chance.randbytes(200),  # as TLS begins
            b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\n",
        ]
    )


def _changed(chance: Chance, old: bytes, frames: list[bytes]) -> list[bytes]:
    """What stands in the place of one frame."""
    head, payload = bytearray(old[:HEAD].ljust(HEAD, b"\0")), old[HEAD:]
    stream = chance.choice([0, 1, 2, 3, 5, 7, 2**31 - 1, 2**31, chance.getrandbits(32)])
    kind = chance.randrange(13)
    if kind == 0:
        return [mutated(chance, old)]
    if kind == 1:
        head[:3] = chance.choice([0, max(len(payload) - 1, 0), len(payload) + 1, 16_385, 2**24 - 1]).to_bytes(3, "big")
        return [bytes(head) + payload]
    if kind == 2:
        head[3] = chance.choice([*range(12), chance.randrange(256)])
        return [bytes(head) + payload]
    if kind == 3:
        head[4] = chance.randrange(256)
        return [bytes(head) + payload]
    if kind == 4:
        head[5:] = stream.to_bytes(4, "big")
        return [bytes(head) + payload]
    if kind == 5:
        return chance.choice([[], [old, old], [chance.choice(frames), old]])
    if kind == 6:
        return [old, frame(chance.randrange(10, 256), chance.randrange(256), stream, some_bytes(chance, 2000))]
    if kind == 7:
        increment = chance.choice([0, 1, WINDOW, 2**31, 2**32 - 1])
        return [old, frame(8, 0, stream, increment.to_bytes(4, "big")) * chance.choice([1, 2, 50])]
    if kind == 8:
        key = chance.choice([0, 1, 2, 3, 4, 5, 6, 8, 0xFFFF])
        value = chance.choice([0, 1, 100, 2**14 - 1, 2**24, WINDOW, 2**31, 2**32 - 1])
        pair = key.to_bytes(2, "big") + value.to_bytes(4, "big")
        return [old, frame(4, chance.choice([0, 0, 0, 1]), 0, pair * chance.choice([1, 1, 3, 500]))]
    if kind == 9:
        return [old, *_headers(chance)]
    if kind == 10:
        return [old, frame(chance.choice([6, 6, 4, 2, 3, 0, 9]), 0, stream, bytes(8)) * chance.choice([1, 20, 300])]
    if kind == 11:  # opened and reset at once, again and again
        block = b"\x83\x86\x84\x41\x01x"
        ids = range(11, 11 + 2 * chance.choice([1, 20, 150]), 2)
        return [old, *(frame(1, 4, each, block) + frame(3, 0, each, b"\0\0\0\x08") for each in ids)]
    return [old, frame(5, 4, stream, (2).to_bytes(4, "big") + b"\x83"), frame(2, 0, 3, b"\0\0\0\x03\0")]


def _headers(chance: Chance) -> list[bytes]:
    """A block of headers that does not decode, is too large, or never ends."""
    stream = chance.choice([7, 7, 7, 8, 1, 0])
    kind = chance.randrange(6)
    if kind == 0:
        return [frame(1, 5, stream, chance.randbytes(chance.randint(0, 200)))]
    if kind == 1:
        block = chance.choice(
            [b"\x80", b"\xff" * 20, b"\x3f" + b"\xff" * 9, b"\x3f\xe1\xff\x7f", b"\x40\x7f\xff\xff\xff\x7f"]
        )
        return [frame(1, 5, stream, b"\x83\x86\x84" + block)]
    if kind == 2:  # without an end
        pieces = chance.choice([1, 30, 120])
        return [frame(1, 0, stream, b"\x83\x86\x84"), *(frame(9, 0, stream, b"\0\1a\1b" * 40) for _ in range(pieces))]
    if kind == 3:  # a large one, mentioned again and again
        large = b"\x40\x05x-big\x7f\xa1\x1e" + b"v" * 4000
        return [frame(1, 5, stream, b"\x83\x86\x84" + large + b"\xbe" * chance.choice([1, 100, 4000]))]
    if kind == 4:
        return [frame(1, 0, stream, b"\x83\x86"), frame(chance.choice([0, 8, 9]), 0, 7, b"\0\0\0\1")]
    return [frame(9, 4, stream, b"\x83"), frame(1, 4 | 8, stream, b"\xff\x83")]


def broken_http1(chance: Chance) -> bytes:
    """The same for HTTP/1."""
    kind = chance.randrange(8)
    if kind < 4:
        return mutated(chance, _REQUEST)
    if kind == 4:
        header = chance.choice(
            [
                b"x: " + b"y" * 70_000,
                b"content-length: 5",
                b"transfer-encoding: chunked",
                b"x",
                b": x",
                b"a: \0",
                b"\xff: x",
                b"transfer-encoding: gzip",
                b"expect: 100-continue",
                b"connection: upgrade\r\nupgrade: h2c",
                b"a: b\r\n" * 300,
            ]
        )
        return _REQUEST.replace(b"host:", header + b"\r\nhost:", 1)
    if kind == 5:
        chunks = chance.choice(
            [
                b"5\r\n{}   \r\n0\r\n\r\n",
                b"fffffffffffffffff\r\n{}",
                b"-1\r\n",
                b"2;x=y\r\n{}\r\n0\r\na: b\r\n\r\n",
                b"x\r\n",
            ]
        )
        return _REQUEST.partition(b"content-length")[0] + b"transfer-encoding: chunked\r\n\r\n" + chunks
    if kind == 6:
        return broken_http2(chance)
    return _REQUEST * chance.choice([2, 20]) + mutated(chance, _REQUEST)
