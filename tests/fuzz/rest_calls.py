"""Requests of the Open Inference Protocol over REST that are wrong in their paths, headers, JSON or tensors."""

import gzip
import json
import zlib
from typing import Any
from urllib.parse import quote

from tests.fuzz.mutations import Chance, mutated, mutated_json, some_bytes
from tests.fuzz.traffic import PIXELS, PNG, SMALL

Body = tuple[Any, bytes]
"""JSON, and the tensors behind it."""

_MODEL = f"/v2/models/{SMALL}"
_TENSOR = {"name": "pixels", "datatype": "UINT8", "shape": [1, 64]}
_BINARY = _TENSOR | {"parameters": {"binary_data_size": 64}}
_OUTPUTS = [
    {"name": "label", "parameters": {"binary_data": True}},
    {"name": "scores", "parameters": {"classification": 3}},
]
_PICTURE = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(PNG) + 4}}
# The verb, the path, and the body.
VALID: list[tuple[str, str, Body | None]] = [
    *(("GET", path, None) for path in ("/v2", "/v2/health/live", "/v2/models/stats", _MODEL, f"{_MODEL}/versions/1")),
    *(("GET", f"{_MODEL}/{what}", None) for what in ("ready", "config", "stats", "versions/1/ready")),
    ("GET", "/v2/systemsharedmemory/region/r/status", None),
    ("GET", "/v2/trace/setting", None),
    *(
        ("POST", f"{_MODEL}/infer", body)
        for body in (
            ({"inputs": [_TENSOR | {"data": list(PIXELS)}], "outputs": _OUTPUTS}, b""),
            ({"id": "7", "inputs": [_BINARY], "outputs": _OUTPUTS[:1]}, PIXELS),
            ({"inputs": [_BINARY], "parameters": {"binary_data_output": True}}, PIXELS),
            ({"inputs": [_BINARY], "parameters": {"binary_data_output": True}}, PIXELS),
            ({"inputs": [_PICTURE], "outputs": [{"name": "warnings"}]}, len(PNG).to_bytes(4, "little") + PNG),
            ({"inputs": [_TENSOR | {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 64}}]}, b""),
        )
    ),
    ("POST", f"{_MODEL}/versions/1/infer", ({"inputs": [_TENSOR | {"data": [[list(PIXELS)]]}]}, b"")),
    ("POST", "/v2/repository/index", ({"ready": True}, b"")),
    ("POST", f"/v2/repository/models/{SMALL}/load", ({"parameters": {"config": "{}"}}, b"")),
    ("POST", "/v2/systemsharedmemory/region/r/register", ({"key": "/digits-r", "offset": 0, "byte_size": 64}, b"")),
    ("POST", "/v2/systemsharedmemory/unregister", ({}, b"")),
]
_PARTS = [
    "..",
    ".",
    "%2e%2e",
    "%2f",
    "%00",
    "%ff",
    "%zz",
    "%",
    "a" * 5000,
    "",
    "versions",
    "0",
    "-1",
    "9" * 30,
    "%F0%9F",
    "*",
]
_HEADERS = [
    *(f"content-encoding: {each}" for each in ("gzip", "deflate", "br", "gzip, gzip", "")),
    *(f"accept-encoding: {each}" for each in ("gzip", "deflate;q=0", "*", ",,;q", "gzip;q=x")),
    "content-type: text/html",
    "expect: 100-continue",
    "inference-header-content-length: 5",
]  # fmt: skip


def wrong_request(chance: Chance) -> bytes:
    """All bytes of one request over HTTP/1.1."""
    verb, path, body = chance.choice(VALID)
    if chance.random() < 0.2:
        path = _path(chance, path)
    if chance.random() < 0.05:
        verb = chance.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS"])
    lines = [f"{verb} {path} HTTP/1.1", "host: localhost"]
    lines += chance.sample(_HEADERS, chance.choice([0, 0, 0, 1, 2]))
    if body is None:
        return "\r\n".join([*lines, "", ""]).encode()
    head, tensors = _body(chance, body)
    size = len(head) if tensors or chance.random() < 0.5 else None
    if chance.random() < 0.15:
        size = chance.choice([0, -1, len(head) - 1, len(head) + 1, 2**31, 2**64, "x", "+5", " ", "1e3", None])
    if size is not None:
        lines.append(f"inference-header-content-length: {size}")
    data = head + tensors
    if chance.random() < 0.1:
        packed = chance.choice([gzip.compress, zlib.compress])(data)
        data = packed if chance.random() < 0.5 else mutated(chance, packed)
        lines.append(f"content-encoding: {chance.choice(['gzip', 'deflate'])}")
    if chance.random() < 0.1:
        lines.append("transfer-encoding: chunked")
        pieces = [data[at : at + 97] for at in range(0, min(len(data), 5000), 97)]
        data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        lines.append(f"content-length: {len(data)}")
    return "\r\n".join([*lines, "", ""]).encode() + data


def _path(chance: Chance, path: str) -> str:
    parts = path.split("/")
    at = chance.randrange(1, len(parts))
    kind = chance.randrange(4)
    if kind == 0:
        parts[at] = chance.choice(_PARTS)
    elif kind == 1:
        parts.insert(at, chance.choice(_PARTS))
    elif kind == 2:
        del parts[at]
    else:
        parts[at] = quote(mutated(chance, parts[at].encode()))
    return "/".join(parts) or "/"


def _body(chance: Chance, body: Body) -> tuple[bytes, bytes]:
    found, tensors = body
    kind = chance.randrange(8)
    if kind < 5:
        return mutated_json(chance, found), tensors
    if kind == 5:
        return json.dumps(found).encode(), mutated(chance, tensors)
    if kind == 6:
        return json.dumps(found).encode(), tensors + some_bytes(chance, 100)
    return json.dumps(found).encode(), tensors
