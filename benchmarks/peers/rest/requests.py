"""Some two hundred requests over REST, good and bad, that any server of the protocol may be asked."""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.load.requests import MODEL, images

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


def requests(shared_memory: str) -> list[RestRequest]:
    """All of them, in an order in which none spoils a later one; `shared_memory` is the key of a region."""
    return [
        *_descriptions(),
        *_paths(),
        *_inference(),
        *_encodings(),
        *_wrong_tensors(),
        *_wrong_values(),
        *_wrong_json(),
        *_wrong_lengths(),
        *_outputs(),
        *_shared_memory(shared_memory),
        *_repository(),
    ]


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


def _binary(pixels: np.ndarray, **changes: Any) -> dict[str, Any]:
    return tensor(pixels, parameters={"binary_data_size": pixels.nbytes}, **changes)


def _listed(pixels: np.ndarray, **changes: Any) -> dict[str, Any]:
    return tensor(pixels, **{"data": pixels.ravel().tolist(), **changes})


def _get(about: str, path: str, verb: str = "GET") -> RestRequest:
    return RestRequest(about, verb, path)


def _descriptions() -> Iterator[RestRequest]:
    model = f"/v2/models/{MODEL.name}"
    yield _get("server: metadata", "/v2")
    yield _get("server: live", "/v2/health/live")
    yield _get("server: ready", "/v2/health/ready")
    yield _get("server: statistics", "/v2/models/stats")
    for what in ("", "/ready", "/config", "/stats"):
        name = what.removeprefix("/") or "metadata"
        yield _get(f"model: {name}", model + what)
        yield _get(f"model: {name} of version 2", f"{model}/versions/2{what}")
        yield _get(f"model: {name} of a version that is not there", f"{model}/versions/9{what}")
        yield _get(f"model: {name} of a version that is no number", f"{model}/versions/newest{what}")
        yield _get(f"model: {name} of an unknown model", f"/v2/models/nobody{what}")


def _paths() -> Iterator[RestRequest]:
    model = f"/v2/models/{MODEL.name}"
    yield _get("path: unknown", "/v2/nothing")
    yield _get("path: unknown below a model", f"{model}/nothing")
    yield _get("path: of v3", "/v3")
    yield _get("path: with a slash at its end", f"{model}/ready/")
    yield _get("path: with two slashes", f"/v2/models//{MODEL.name}/ready")
    yield _get("path: with a question", f"{model}/ready?verbose=1")
    yield _get("path: the model as %6D…", f"/v2/models/%6D{MODEL.name[1:]}/ready")
    for name in ("..", "%2e%2e", ".", "a%2fb", "..%2f..%2fetc", "%00", "a%0ab", "%20", "a" * 3000, "%E2%82%AC", "%zz"):
        yield _get(f"path: a model called {name[:20]}", f"/v2/models/{name}/ready")
    for verb in ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        yield _get(f"verb: {verb} of metadata", model, verb)
    for verb in ("GET", "PUT", "HEAD", "DELETE"):
        yield _get(f"verb: {verb} of inference", INFER, verb)
    yield _get("verb: GET of the repository's index", "/v2/repository/index")
    yield _get("verb: GET of load", f"/v2/repository/models/{MODEL.name}/load")


def _inference() -> Iterator[RestRequest]:
    for rows in (1, 2, 7):
        pixels = images(rows)
        for name, wanted in (("nothing", None), ("label", ["label"]), ("both", ["scores", "label"])):
            for binary in (True, False):
                outputs = None
                if wanted is not None:
                    outputs = [{"name": each, "parameters": {"binary_data": binary}} for each in wanted]
                about = f"{rows} images, outputs: {name}, {'binary' if binary else 'JSON'}"
                rest: dict[str, Any] = {} if outputs is None else {"outputs": outputs}
                if outputs is None and binary:
                    rest = {"parameters": {"binary_data_output": True}}
                yield as_binary(f"infer: binary, {about}", {"inputs": [_binary(pixels)], **rest}, pixels.tobytes())
                yield as_json(f"infer: JSON, {about}", {"inputs": [_listed(pixels)], **rest})
    pixels = images(2)
    yield as_json("infer: nested lists", {"inputs": [_listed(pixels, data=pixels.tolist())]})
    yield as_json("infer: version 2", {"inputs": [_listed(pixels)]}, f"/v2/models/{MODEL.name}/versions/2/infer")
    yield as_json("infer: version 9", {"inputs": [_listed(pixels)]}, f"/v2/models/{MODEL.name}/versions/9/infer")
    yield as_json("infer: an unknown model", {"inputs": [_listed(pixels)]}, "/v2/models/nobody/infer")
    yield as_json("infer: with an id", {"id": "seven", "inputs": [_listed(pixels)]})
    yield as_json("infer: with an empty id", {"id": "", "inputs": [_listed(pixels)]})
    yield as_json("infer: an id that is a number", {"id": 7, "inputs": [_listed(pixels)]})
    yield as_json("infer: an id that is null", {"id": None, "inputs": [_listed(pixels)]})
    known = {"priority": 1, "timeout": 60_000_000}
    yield as_json("infer: with priority and timeout", {"parameters": known, "inputs": [_listed(pixels)]})
    own = {"colour": "blue", "size": 3, "weight": 0.5, "wet": True}
    yield as_json("infer: with parameters of one's own", {"parameters": own, "inputs": [_listed(pixels)]})
    yield as_json("infer: a parameter that is a list", {"parameters": {"a": [1]}, "inputs": [_listed(pixels)]})
    yield as_json("infer: a parameter that is null", {"parameters": {"a": None}, "inputs": [_listed(pixels)]})
    yield as_json("infer: parameters that are a list", {"parameters": [1], "inputs": [_listed(pixels)]})
    yield as_json("infer: fields that nobody knows", {"colour": "blue", "inputs": [_listed(pixels) | {"size": 3}]})
    yield RestRequest("infer: pixels alone, JSON of 0 bytes", "POST", INFER, images(1).tobytes(), {JSON_BYTES: "0"})
    yield RestRequest(
        "infer: pixels of 3 images, JSON of 0 bytes", "POST", INFER, images(3).tobytes(), {JSON_BYTES: "0"}
    )
    yield RestRequest("infer: half an image, JSON of 0 bytes", "POST", INFER, bytes(392), {JSON_BYTES: "0"})


def _encodings() -> Iterator[RestRequest]:
    pixels = images(2)
    good = json.dumps({"inputs": [_listed(pixels)]}).encode()
    for name, packed in (("gzip", gzip.compress(good)), ("deflate", zlib.compress(good))):
        yield as_json(f"encoding: {name}", packed, **{"Content-Encoding": name})
        yield as_json(f"encoding: cut {name}", packed[:-9], **{"Content-Encoding": name})
        yield as_json(f"encoding: {name} that is none", good, **{"Content-Encoding": name})
        yield as_json(f"encoding: answer as {name}", good, **{"Accept-Encoding": name})
    yield as_json("encoding: br", good, **{"Content-Encoding": "br"})
    yield as_json("encoding: answer as br", good, **{"Accept-Encoding": "br"})
    for kind in ("text/plain", "application/json", "application/octet-stream", "image/png"):
        yield as_json(f"encoding: JSON called {kind}", good, **{"Content-Type": kind})
    for size in (1, 100, 10_000):
        yield RestRequest(f"encoding: JSON in pieces of {size}", "POST", INFER, good, pieces=size)
    head = json.dumps({"inputs": [_binary(pixels)]}).encode()
    pieces = {JSON_BYTES: str(len(head))}
    yield RestRequest("encoding: binary in pieces of 100", "POST", INFER, head + pixels.tobytes(), pieces, 100)


def _wrong_tensors() -> Iterator[RestRequest]:
    pixels = images(2)
    for about, changes in {
        "no name": {"name": None},
        "a wrong name": {"name": "mask"},
        "a name that is a number": {"name": 7},
        "no datatype": {"datatype": None},
        "an unknown datatype": {"datatype": "UINT9"},
        "INT64": {"datatype": "INT64"},
        "FP32": {"datatype": "FP32"},
        "BYTES": {"datatype": "BYTES"},
        "no shape": {"shape": None},
        "a shape that is a number": {"shape": 784},
        "a shape with text": {"shape": [2, "784"]},
        "a shape with a fraction": {"shape": [2, 784.5]},
        "a negative shape": {"shape": [-1, 784]},
        "a shape of no rows": {"shape": [0, 784]},
        "a shape too wide": {"shape": [2, 785]},
        "a shape of more rows than there are": {"shape": [3, 784]},
        "a shape of pictures": {"shape": [2, 28, 28]},
        "a shape of 2⁶³": {"shape": [2**63, 784]},
        "a shape of 2³² by 2³²": {"shape": [2**32, 2**32]},
        "no data": {"data": None},
        "data that is null and text": {"data": "pixels"},
        "data that is a number": {"data": 7},
        "data that is an object": {"data": {}},
        "no values": {"data": []},
        "a value too few": {"data": pixels.ravel().tolist()[:-1]},
        "a value too many": {"data": [*pixels.ravel().tolist(), 0]},
    }.items():
        yield as_json(f"tensor: {about}", {"inputs": [_listed(pixels, **changes)]})
    yield as_json("tensor: none", {"inputs": []})
    yield as_json("tensor: inputs that are null", {"inputs": None})
    yield as_json("tensor: inputs that are an object", {"inputs": {}})
    yield as_json("tensor: an input that is text", {"inputs": ["pixels"]})
    yield as_json("tensor: no inputs", {})
    yield as_json("tensor: the same twice", {"inputs": [_listed(pixels)] * 2})
    yield as_json("tensor: another beside it", {"inputs": [_listed(pixels), _listed(pixels, name="mask")]})


def _wrong_values() -> Iterator[RestRequest]:
    pixels = images(1).ravel().tolist()
    for about, value in {
        "256": 256,
        "-1": -1,
        "0.5": 0.5,
        "3.0": 3.0,
        "10⁴⁰⁰": 10**400,
        "2⁶⁴": 2**64,
        "text": "7",
        "true": True,
        "null": None,
        "NaN": float("nan"),
        "Infinity": float("inf"),
        "a list": [7],
        "an object": {},
    }.items():
        yield as_json(f"value: {about}", {"inputs": [tensor(images(1), data=[value, *pixels[1:]])]})
        yield as_json(f"value: {about}, last", {"inputs": [tensor(images(1), data=[*pixels[:-1], value])]})
    text = json.dumps({"inputs": [tensor(images(1), data=pixels)]})
    yield as_json("value: 1e999", text.replace("[0, 0", "[1e999, 0", 1).encode())
    yield as_json("value: 0 written as 00", text.replace("[0, 0", "[00, 0", 1).encode())


def _wrong_json() -> Iterator[RestRequest]:
    good = json.dumps({"inputs": [_listed(images(1))]})
    for about, body in {
        "nothing": b"",
        "null": b"null",
        "a list": b"[]",
        "a number": b"7",
        "text": b'"x"',
        "cut": good[:-5].encode(),
        "with more behind it": good.encode() + b"{}",
        "no UTF-8": good.replace("pixels", "pixel\xff").encode("latin-1"),
        "with a byte order mark": b"\xef\xbb\xbf" + good.encode(),
        "UTF-16": good.encode("utf-16"),
        "with a comment": good.encode() + b"// good",
        "with a comma too many": good[:-1].encode() + b",}",
        "with a key twice": good[:-1].encode() + b',"inputs":[]}',
        "nested 50 deep": b"[" * 50 + b"]" * 50,
        "data nested 50 deep": json.dumps({"inputs": [_listed(images(1), data=7)]})
        .replace(": 7", ": " + "[" * 50 + "7" + "]" * 50)
        .encode(),
        "nested 500 deep": b'{"inputs":' + b"[" * 500 + b"]" * 500 + b"}",
    }.items():
        yield as_json(f"JSON: {about}", body)


def _wrong_lengths() -> Iterator[RestRequest]:
    pixels = images(2)
    good = {"inputs": [_binary(pixels)]}
    size = len(json.dumps(good))
    for length in (
        "-1",
        "x",
        "1.5",
        str(size - 1),
        str(size + 1),
        "99999",
        str(2**31),
        str(2**64),
        f"+{size}",
        f" {size}",
    ):
        yield as_binary(
            f"length: JSON of {length.replace(str(size), 'right')} bytes", good, pixels.tobytes(), size=length
        )
    yield as_json("length: binary without a length of JSON", json.dumps(good).encode() + pixels.tobytes())
    for about, value in {
        "one too few": pixels.nbytes - 1,
        "one too many": pixels.nbytes + 1,
        "0": 0,
        "-1": -1,
        "text": str(pixels.nbytes),
        "a fraction": pixels.nbytes + 0.5,
        "2⁶³": 2**63,
        "2⁶⁴": 2**64,
        "null": None,
        "true": True,
    }.items():
        wrong = {"inputs": [tensor(pixels, parameters={"binary_data_size": value})]}
        yield as_binary(f"length: binary_data_size {about}", wrong, pixels.tobytes())
    yield as_binary("length: bytes too few", good, pixels.tobytes()[:-1])
    yield as_binary("length: bytes too many", good, pixels.tobytes() + b"\0")
    both = {"inputs": [_binary(pixels) | {"data": pixels.ravel().tolist()}]}
    yield as_binary("length: binary and data", both, pixels.tobytes())
    yield as_binary("length: binary and JSON, inputs twice", {"inputs": [_binary(pixels)] * 2}, pixels.tobytes() * 2)


def _outputs() -> Iterator[RestRequest]:
    pixels = images(2)
    for about, outputs in {
        "an unknown one": [{"name": "logits"}],
        "one twice": [{"name": "label"}, {"name": "label"}],
        "none": [],
        "null": None,
        "an object": {},
        "text": ["label"],
        "without a name": [{}],
        "a name that is a number": [{"name": 7}],
        "binary_data that is text": [{"name": "label", "parameters": {"binary_data": "true"}}],
        "3 classes": [{"name": "scores", "parameters": {"classification": 3}}],
        "3 classes, binary": [{"name": "scores", "parameters": {"classification": 3, "binary_data": True}}],
        "0 classes": [{"name": "scores", "parameters": {"classification": 0}}],
        "-1 classes": [{"name": "scores", "parameters": {"classification": -1}}],
        "99 classes": [{"name": "scores", "parameters": {"classification": 99}}],
        "classes as text": [{"name": "scores", "parameters": {"classification": "3"}}],
    }.items():
        yield as_json(f"outputs: {about}", {"inputs": [_listed(pixels)], "outputs": outputs})
    for value in ("true", 1, None):
        wrong = {"inputs": [_listed(pixels)], "parameters": {"binary_data_output": value}}
        yield as_json(f"outputs: binary_data_output {json.dumps(value)}", wrong)


def _shared_memory(key: str) -> Iterator[RestRequest]:
    stem = "/v2/systemsharedmemory"
    pixels = images(1)
    good = {"key": key, "offset": 0, "byte_size": 4096}
    shared = {"shared_memory_region": "mine", "shared_memory_byte_size": pixels.nbytes}
    yield _get("memory: status", f"{stem}/status")
    yield _get("memory: status of a region that is not there", f"{stem}/region/mine/status")
    for about, body in {
        "without a key": {"offset": 0, "byte_size": 8},
        "without a size": {"key": key, "offset": 0},
        "that is not there": good | {"key": "/digits-compare-none"},
        "with a path as its key": good | {"key": "/../../etc/passwd"},
        "of no bytes": good | {"byte_size": 0},
        "of a negative size": good | {"byte_size": -1},
        "with an offset beyond its end": good | {"offset": 2**40},
        "with a size as text": good | {"byte_size": "8"},
    }.items():
        yield as_json(f"memory: register one {about}", body, f"{stem}/region/mine/register")
    yield as_json("memory: register", good, f"{stem}/region/mine/register")
    yield as_json("memory: register again", good, f"{stem}/region/mine/register")
    yield _get("memory: status of one", f"{stem}/region/mine/status")
    yield as_json("memory: infer", {"inputs": [tensor(pixels, parameters=shared)]})
    missing = {"inputs": [tensor(pixels, parameters=shared | {"shared_memory_region": "none"})]}
    yield as_json("memory: infer from a region that is not there", missing)
    beyond = {"inputs": [tensor(pixels, parameters=shared | {"shared_memory_offset": 4000})]}
    yield as_json("memory: infer beyond the end", beyond)
    outputs = [{"name": "scores", "parameters": shared | {"shared_memory_offset": 1024, "shared_memory_byte_size": 40}}]
    yield as_json("memory: infer into it", {"inputs": [_listed(pixels)], "outputs": outputs})
    yield RestRequest("memory: unregister", "POST", f"{stem}/region/mine/unregister", b"")
    yield RestRequest("memory: unregister what is not there", "POST", f"{stem}/region/mine/unregister", b"")
    yield RestRequest("memory: unregister all", "POST", f"{stem}/unregister", b"")
    yield RestRequest("memory: unregister all of CUDA", "POST", "/v2/cudasharedmemory/unregister", b"")


def _repository() -> Iterator[RestRequest]:
    stem = "/v2/repository"
    yield RestRequest("repository: index", "POST", f"{stem}/index", b"")
    yield as_json("repository: index of the ready", {"ready": True}, f"{stem}/index")
    yield as_json("repository: index with text as ready", {"ready": "yes"}, f"{stem}/index")
    yield as_json("repository: index with no JSON", b"{", f"{stem}/index")
    yield RestRequest("repository: index of a named repository", "POST", f"{stem}/mine/index", b"")
    yield RestRequest("repository: load an unknown model", "POST", f"{stem}/models/nobody/load", b"")
    yield RestRequest("repository: unload an unknown model", "POST", f"{stem}/models/nobody/unload", b"")
    yield RestRequest("repository: load", "POST", f"{stem}/models/{MODEL.name}/load", b"")
    options = {"parameters": {"unload_dependents": True}}
    yield as_json("repository: unload", options, f"{stem}/models/{MODEL.name}/unload")
    yield _get("repository: ready after unload", f"/v2/models/{MODEL.name}/ready")
    yield as_json("repository: infer after unload", {"inputs": [_listed(images(1))]})
    yield RestRequest("repository: load again", "POST", f"{stem}/models/{MODEL.name}/load", b"")
    yield _get("repository: ready after load", f"/v2/models/{MODEL.name}/ready")
