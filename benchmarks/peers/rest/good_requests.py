"""Requests over REST that are good, or unusual."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

from benchmarks.load.requests import MODEL, images
from benchmarks.peers.rest.request import (
    INFER,
    JSON_BYTES,
    RestRequest,
    as_binary,
    as_json,
    behind_json,
    get,
    in_json,
    tensor,
)


def descriptions() -> Iterator[RestRequest]:
    """What describes the server and the model."""
    model = f"/v2/models/{MODEL.name}"
    yield get("server: metadata", "/v2")
    yield get("server: live", "/v2/health/live")
    yield get("server: ready", "/v2/health/ready")
    yield get("server: statistics", "/v2/models/stats")
    for what in ("", "/ready", "/config", "/stats"):
        name = what.removeprefix("/") or "metadata"
        yield get(f"model: {name}", model + what)
        yield get(f"model: {name} of version 2", f"{model}/versions/2{what}")
        yield get(f"model: {name} of a version that is not there", f"{model}/versions/9{what}")
        yield get(f"model: {name} of a version that is no number", f"{model}/versions/newest{what}")
        yield get(f"model: {name} of an unknown model", f"/v2/models/nobody{what}")


def paths() -> Iterator[RestRequest]:
    """Paths and verbs, right and wrong."""
    model = f"/v2/models/{MODEL.name}"
    yield get("path: unknown", "/v2/nothing")
    yield get("path: unknown below a model", f"{model}/nothing")
    yield get("path: of v3", "/v3")
    yield get("path: with a slash at its end", f"{model}/ready/")
    yield get("path: with two slashes", f"/v2/models//{MODEL.name}/ready")
    yield get("path: with a question", f"{model}/ready?verbose=1")
    yield get("path: the model as %6D…", f"/v2/models/%6D{MODEL.name[1:]}/ready")
    for name in ("..", "%2e%2e", ".", "a%2fb", "..%2f..%2fetc", "%00", "a%0ab", "%20", "a" * 3000, "%E2%82%AC", "%zz"):
        yield get(f"path: a model called {name[:20]}", f"/v2/models/{name}/ready")
    for verb in ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        yield get(f"verb: {verb} of metadata", model, verb)
    for verb in ("GET", "PUT", "HEAD", "DELETE"):
        yield get(f"verb: {verb} of inference", INFER, verb)
    yield get("verb: GET of the repository's index", "/v2/repository/index")
    yield get("verb: GET of load", f"/v2/repository/models/{MODEL.name}/load")


def inference() -> Iterator[RestRequest]:
    """Good requests of every form, and what is unusual about them."""
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
                yield as_binary(f"infer: binary, {about}", {"inputs": [behind_json(pixels)], **rest}, pixels.tobytes())
                yield as_json(f"infer: JSON, {about}", {"inputs": [in_json(pixels)], **rest})
    pixels = images(2)
    yield as_json("infer: nested lists", {"inputs": [in_json(pixels, data=pixels.tolist())]})
    yield as_json("infer: version 2", {"inputs": [in_json(pixels)]}, f"/v2/models/{MODEL.name}/versions/2/infer")
    yield as_json("infer: version 9", {"inputs": [in_json(pixels)]}, f"/v2/models/{MODEL.name}/versions/9/infer")
    yield as_json("infer: an unknown model", {"inputs": [in_json(pixels)]}, "/v2/models/nobody/infer")
    yield as_json("infer: with an id", {"id": "seven", "inputs": [in_json(pixels)]})
    yield as_json("infer: with an empty id", {"id": "", "inputs": [in_json(pixels)]})
    yield as_json("infer: an id that is a number", {"id": 7, "inputs": [in_json(pixels)]})
    yield as_json("infer: an id that is null", {"id": None, "inputs": [in_json(pixels)]})
    known = {"priority": 1, "timeout": 60_000_000}
    yield as_json("infer: with priority and timeout", {"parameters": known, "inputs": [in_json(pixels)]})
    own = {"colour": "blue", "size": 3, "weight": 0.5, "wet": True}
    yield as_json("infer: with parameters of one's own", {"parameters": own, "inputs": [in_json(pixels)]})
    yield as_json("infer: a parameter that is a list", {"parameters": {"a": [1]}, "inputs": [in_json(pixels)]})
    yield as_json("infer: a parameter that is null", {"parameters": {"a": None}, "inputs": [in_json(pixels)]})
    yield as_json("infer: parameters that are a list", {"parameters": [1], "inputs": [in_json(pixels)]})
    yield as_json("infer: unknown fields", {"colour": "blue", "inputs": [in_json(pixels) | {"size": 3}]})
    yield RestRequest("infer: pixels alone, JSON of 0 bytes", "POST", INFER, images(1).tobytes(), {JSON_BYTES: "0"})
    yield RestRequest(
        "infer: pixels of 3 images, JSON of 0 bytes", "POST", INFER, images(3).tobytes(), {JSON_BYTES: "0"}
    )
    yield RestRequest("infer: half an image, JSON of 0 bytes", "POST", INFER, bytes(392), {JSON_BYTES: "0"})


def encodings() -> Iterator[RestRequest]:
    """Compressed bodies, bodies in pieces, types of content."""
    pixels = images(2)
    good = json.dumps({"inputs": [in_json(pixels)]}).encode()
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
    head = json.dumps({"inputs": [behind_json(pixels)]}).encode()
    pieces = {JSON_BYTES: str(len(head))}
    yield RestRequest("encoding: binary in pieces of 100", "POST", INFER, head + pixels.tobytes(), pieces, 100)


def shared_memory(key: str) -> Iterator[RestRequest]:
    """Regions of shared memory, and tensors in them."""
    stem = "/v2/systemsharedmemory"
    pixels = images(1)
    good = {"key": key, "offset": 0, "byte_size": 4096}
    shared = {"shared_memory_region": "mine", "shared_memory_byte_size": pixels.nbytes}
    yield get("memory: status", f"{stem}/status")
    yield get("memory: status of a region that is not there", f"{stem}/region/mine/status")
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
    yield get("memory: status of one", f"{stem}/region/mine/status")
    yield as_json("memory: infer", {"inputs": [tensor(pixels, parameters=shared)]})
    missing = {"inputs": [tensor(pixels, parameters=shared | {"shared_memory_region": "none"})]}
    yield as_json("memory: infer from a region that is not there", missing)
    beyond = {"inputs": [tensor(pixels, parameters=shared | {"shared_memory_offset": 4000})]}
    yield as_json("memory: infer beyond the end", beyond)
    outputs = [{"name": "scores", "parameters": shared | {"shared_memory_offset": 1024, "shared_memory_byte_size": 40}}]
    yield as_json("memory: infer into it", {"inputs": [in_json(pixels)], "outputs": outputs})
    yield RestRequest("memory: unregister", "POST", f"{stem}/region/mine/unregister", b"")
    yield RestRequest("memory: unregister what is not there", "POST", f"{stem}/region/mine/unregister", b"")
    yield RestRequest("memory: unregister all", "POST", f"{stem}/unregister", b"")
    yield RestRequest("memory: unregister all of CUDA", "POST", "/v2/cudasharedmemory/unregister", b"")


def repository() -> Iterator[RestRequest]:
    """Loading and unloading; the model is loaded at the end."""
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
    yield get("repository: ready after unload", f"/v2/models/{MODEL.name}/ready")
    yield as_json("repository: infer after unload", {"inputs": [in_json(images(1))]})
    yield RestRequest("repository: load again", "POST", f"{stem}/models/{MODEL.name}/load", b"")
    yield get("repository: ready after load", f"/v2/models/{MODEL.name}/ready")
