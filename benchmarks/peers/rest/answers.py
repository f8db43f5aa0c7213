"""An answer over REST as fields that can be compared."""

import gzip
import http.client
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.rest.request import RestRequest

SECONDS = 20
HEADERS = ("content-type", "content-encoding", "allow")
NONE = "–"

Fields = dict[str, str]


@dataclass(frozen=True)
class Answer:
    """The fields of one answer by their names; `status` is one of them."""

    fields: Fields

    @property
    def status(self) -> str:
        """The status of HTTP."""
        return self.fields["status"]

    @property
    def summary(self) -> str:
        """The status, and what an error says."""
        return " ".join((self.status, self.fields.get("error", ""))).strip()

    def differences(self, other: "Answer") -> dict[str, tuple[str, str]]:
        """By the name of a field the two values that differ; the status alone, where one of the two is an error."""
        mine, others = self.status, other.status
        if (mine < "300") != (others < "300"):
            return {"status": (self.summary, other.summary)}
        names = dict.fromkeys((*self.fields, *other.fields))
        pairs = {name: (self.fields.get(name, NONE), other.fields.get(name, NONE)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def ask(port: int, request: RestRequest) -> Answer:
    """The answer of the server on that port of 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    body: Any = request.body
    if request.pieces:
        whole = request.body or b""
        body = [whole[at : at + request.pieces] for at in range(0, len(whole), request.pieces)]
    try:
        connection.request(request.verb, request.path, body, request.headers, encode_chunked=bool(request.pieces))
        response = connection.getresponse()
        data = response.read()
    except (OSError, http.client.HTTPException) as error:
        return Answer({"status": f"none: {type(error).__name__}"})
    finally:
        connection.close()
    headers = {key.lower(): value for key, value in response.getheaders()}
    fields: Fields = {"status": str(response.status)}
    fields |= {name: headers[name] for name in HEADERS if name in headers}
    if request.verb != "HEAD":
        fields |= dict(_body(data, headers))
    return Answer(fields)


def _body(data: bytes, headers: dict[str, str]) -> Iterator[tuple[str, str]]:
    encoding = headers.get("content-encoding")
    if encoding:
        data = gzip.decompress(data) if encoding == "gzip" else zlib.decompress(data)
    size = int(headers.get("inference-header-content-length", len(data)))
    if size < len(data):
        yield "tensors", data[size:].hex()
    if not data:
        return
    try:
        found = json.loads(data[:size])
    except ValueError:
        yield "body", data[:200].decode(errors="replace")
        return
    yield from _flat(found, "")


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """The leaves of JSON; a list of plain values is one."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _flat(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for index, each in enumerate(value):
            # By their names, since the order of outputs is not what is compared here.
            label = each.get("name", index) if isinstance(each, dict) else index
            yield from _flat(each, f"{name}[{label}]")
    else:
        yield name, json.dumps(value)
