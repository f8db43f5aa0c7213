"""One request over REST, and how its body is written."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.load.requests import MODEL

INFER = f"/v2/models/{MODEL.name}/infer"
JSON_BYTES = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class RestRequest:
    """One request; `about` says what is in it."""

    about: str
    verb: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: int = 0
    """Bytes of a piece, for a body in pieces (`Transfer-Encoding: chunked`); 0 for a whole one."""


def tensor(pixels: np.ndarray, **changes: Any) -> dict[str, Any]:
    """The input of a request; a change to None leaves the field out."""
    fields: dict[str, Any] = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape)}
    fields |= changes
    return {key: value for key, value in fields.items() if value is not None}


def as_json(about: str, value: Any, path: str = INFER, **headers: str) -> RestRequest:
    """A request whose body is JSON alone; a value of bytes is sent as it is."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return RestRequest(about, "POST", path, body, headers)


def as_binary(about: str, head: Any, *tensors: bytes, path: str = INFER, size: str = "", **headers: str) -> RestRequest:
    """A request of JSON and binary tensors; `size` replaces the number of bytes of JSON."""
    text = json.dumps(head).encode()
    return RestRequest(about, "POST", path, text + b"".join(tensors), {JSON_BYTES: size or str(len(text)), **headers})


def behind_json(pixels: np.ndarray, **changes: Any) -> dict[str, Any]:
    """The input whose values come behind the JSON."""
    return tensor(pixels, parameters={"binary_data_size": pixels.nbytes}, **changes)


def in_json(pixels: np.ndarray, **changes: Any) -> dict[str, Any]:
    """The input whose values stand in the JSON."""
    return tensor(pixels, **{"data": pixels.ravel().tolist(), **changes})


def get(about: str, path: str, verb: str = "GET") -> RestRequest:
    """A request without a body."""
    return RestRequest(about, verb, path)
