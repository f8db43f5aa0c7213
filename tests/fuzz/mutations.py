"""What is changed about valid traffic: bytes, frames of gRPC, headers, JSON. All from one source of chance."""

import json
import random
from collections.abc import Callable
from typing import Any

Chance = random.Random

_INTERESTING = [b"\0", b"\xff", b"\x7f", b"\x80", b"\xff" * 5, b"\x80" * 9 + b"\1", b"\xff" * 10, b"\r\n", b"%", b"'"]
_NUMBERS = [0, 1, -1, 2**7, 2**16, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63), 1e308, 0.5]


def some_bytes(chance: Chance, most: int) -> bytes:
    """Up to `most` of them, rather few."""
    return chance.randbytes(chance.choice([0, 1, 2, 4, 8, chance.randint(0, most)]))


def mutated(chance: Chance, data: bytes) -> bytes:
    """`data` with one to four changes: bits, bytes, cuts, repeats, what is often mishandled."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        # Heads are where lengths and types are.
        at = min(chance.randint(0, len(changed)), chance.randint(0, 40) if chance.random() < 0.6 else 2**30)
        end = min(len(changed), at + chance.choice([1, 2, 4, 16, 200]))
        kind = chance.randrange(7)
        if kind == 0 and changed:
            changed[min(at, len(changed) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1 and changed:
            changed[min(at, len(changed) - 1)] = chance.randrange(256)
        elif kind == 2:
            changed[at:at] = some_bytes(chance, 64)
        elif kind == 3:
            del changed[at:end]
        elif kind == 4:
            del changed[at:]
        elif kind == 5:
            changed[at:at] = changed[at:end] * chance.choice([1, 2, 30])
        else:
            changed[at:at] = chance.choice(_INTERESTING)
    return bytes(changed)


def mutated_frame(chance: Chance, message: bytes) -> bytes:
    """A gRPC frame around `message` that is wrong, or right and unusual."""
    size = len(message)
    flag = chance.choice([0, 0, 0, 1, 2, 255])
    told = chance.choice([size, size, size - 1, size + 1, 0, 2**31, 2**32 - 1, 16 * 2**20, 16 * 2**20 + 1])
    whole = bytes([flag]) + max(told, 0).to_bytes(4, "big") + message
    kind = chance.randrange(6)
    if kind == 0:
        return whole[: chance.randint(0, len(whole))]
    if kind == 1:
        return whole + some_bytes(chance, 20)
    if kind == 2:
        return whole * chance.choice([2, 3])
    if kind == 3:
        return b"\0\0\0\0\0" * chance.choice([1, 2, 100]) + whole
    if kind == 4:
        return mutated(chance, whole)
    return whole


_VALUES: dict[bytes, list[bytes]] = {
    b":method": [b"GET", b"PUT", b"CONNECT", b"post", b"", b"POST "],
    b":scheme": [b"https", b"ftp", b""],
    b":path": [b"", b"*", b"/", b"//", b"/a", b"/%00", b"/\xff", b"/../../etc/passwd", b"/a?b=c", b"/" + b"x" * 3000],
    b":authority": [b"", b"[::1", b"a b", b"x" * 2000],
    b"content-type": [b"", b"application/grpc+json", b"application/grpc-web", b"text/html", b"application/grpc;x=\xff"],
    b"te": [b"", b"gzip"],
    b"grpc-timeout": [b"", b"1n", b"0S", b"99999999H", b"123456789S", b"-1S", b"1", b"S", b"\xff", b"1e9S"],
    b"grpc-encoding": [b"", b"gzip", b"deflate", b"br", b"snappy", b"\xff", b"gzip,gzip"],
    b"grpc-accept-encoding": [b"", b"gzip", b",,,", b"\xff", b"identity;q=0"],
    b"user-agent": [b"", b"\xff\xfe", b"x" * 5000],
    b"x-raw-bin": [b"AAAA", b"A", b"****", b"A,B", b"\xff"],
    b"content-length": [b"0", b"-1", b"5", b"18446744073709551616", b"x"],
    b"connection": [b"close", b"upgrade"],
    b"transfer-encoding": [b"chunked"],
    b"host": [b"", b"a,b"],
    b"x-large": [b"x" * 9000, b"x" * 17_000],
    b"grpc-tags-bin": [b"AAAA"],
    b"grpc-previous-rpc-attempts": [b"1", b"x", b"99999999999"],
    b"X-Upper": [b"x"],
    b"": [b"x"],
    b":unknown": [b"x"],
    b"x y": [b"z"],
    b"x-line": [b"a\r\nb: c", b"\0"],
}
_NAMES = list(_VALUES)
# Those that leave the connection as it was, mostly.
_MILD = [b":path", b"content-type", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding", b"user-agent",
         b"x-raw-bin", b"grpc-tags-bin", b"grpc-previous-rpc-attempts", b":authority"]  # fmt: skip

Headers = list[tuple[bytes, bytes]]


def mutated_headers(chance: Chance, headers: Headers) -> Headers:
    """One or two of them changed, added, taken away, doubled or moved."""
    changed = list(headers)
    for _ in range(chance.choice([1, 1, 2])):
        kind = chance.randrange(10)
        at = chance.randrange(len(changed)) if changed else 0
        if kind == 0 and changed:
            del changed[at]
        elif kind == 1 and changed:
            changed.insert(chance.randint(0, len(changed)), changed[at])
        elif kind == 2 and changed:
            changed[at] = (changed[at][0], mutated(chance, changed[at][1]))
        else:
            name = chance.choice(_MILD if kind < 9 else _NAMES)
            changed = [each for each in changed if each[0] != name]
            new = (name, chance.choice(_VALUES[name]))
            changed.insert(0 if name.startswith(b":") else len(changed), new)
    return changed


def mutated_json(chance: Chance, message: Any) -> bytes:
    """A message as JSON, wrong in its values, its shape, or as JSON."""
    kind = chance.randrange(8)
    if kind == 0:
        return mutated(chance, json.dumps(message).encode())
    if kind == 1:
        depth = chance.choice([50, 500, 20_000])
        return chance.choice([b"[", b'{"a":', b'{"model":']) * depth + b"1"
    if kind == 2:
        text = json.dumps(_changed(chance, message))
        return text.replace(
            '"', chance.choice(['"', "'", '"\\ud800', '"\\u0000', '"\\x']), chance.randint(1, 9)
        ).encode()
    if kind == 3:
        return chance.choice(
            [b"", b"null", b"[]", b"1", b'"x"', b"NaN", b"{}", b"\xff\xfe{", b"\xef\xbb\xbf{}", b"{}{}"]
        )
    return json.dumps(_changed(chance, message)).encode()


def _changed(chance: Chance, value: Any) -> Any:
    makers: list[Callable[[], Any]] = [
        lambda: chance.choice(_NUMBERS),
        lambda: chance.choice([None, True, False, float("nan"), float("inf"), "", [], {}, "9" * 400]),
        lambda: [value] * 3,
        lambda: {"value": value, "@type": "type.googleapis.com/google.protobuf.Any"},
        lambda: "".join(chr(chance.choice([0, 10, 0x41, 0xE4, 0x7FF, 0xD800, 0x1F600])) for _ in range(8)),
        lambda: mutated(chance, str(value).encode()).decode("latin-1"),
    ]
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        return {**value, chance.choice([key, key, key, key + "x", key.upper()]): _changed(chance, value[key])}
    return chance.choice(makers)()
