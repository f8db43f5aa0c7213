"""Requests over REST whose bodies are wrong."""

import json
from collections.abc import Iterator

from benchmarks.load.requests import images
from benchmarks.peers.rest.request import (
    RestRequest,
    as_binary,
    as_json,
    behind_json,
    in_json,
    tensor,
)


def wrong_tensors() -> Iterator[RestRequest]:
    """Inputs that are wrong in their fields."""
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
        yield as_json(f"tensor: {about}", {"inputs": [in_json(pixels, **changes)]})
    yield as_json("tensor: none", {"inputs": []})
    yield as_json("tensor: inputs that are null", {"inputs": None})
    yield as_json("tensor: inputs that are an object", {"inputs": {}})
    yield as_json("tensor: an input that is text", {"inputs": ["pixels"]})
    yield as_json("tensor: no inputs", {})
    yield as_json("tensor: the same twice", {"inputs": [in_json(pixels)] * 2})
    yield as_json("tensor: another beside it", {"inputs": [in_json(pixels), in_json(pixels, name="mask")]})


def wrong_values() -> Iterator[RestRequest]:
    """Numbers that are none of UINT8."""
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


def wrong_json() -> Iterator[RestRequest]:
    """Bodies that are no JSON, or another."""
    good = json.dumps({"inputs": [in_json(images(1))]})
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
        "data nested 50 deep": json.dumps({"inputs": [in_json(images(1), data=7)]})
        .replace(": 7", ": " + "[" * 50 + "7" + "]" * 50)
        .encode(),
        "nested 500 deep": b'{"inputs":' + b"[" * 500 + b"]" * 500 + b"}",
    }.items():
        yield as_json(f"JSON: {about}", body)


def wrong_lengths() -> Iterator[RestRequest]:
    """Lengths of the JSON and of tensors."""
    pixels = images(2)
    good = {"inputs": [behind_json(pixels)]}
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
    both = {"inputs": [behind_json(pixels) | {"data": pixels.ravel().tolist()}]}
    yield as_binary("length: binary and data", both, pixels.tobytes())
    yield as_binary(
        "length: binary and JSON, inputs twice", {"inputs": [behind_json(pixels)] * 2}, pixels.tobytes() * 2
    )


def outputs() -> Iterator[RestRequest]:
    """What is wrong or unusual in the outputs."""
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
        yield as_json(f"outputs: {about}", {"inputs": [in_json(pixels)], "outputs": outputs})
    for value in ("true", 1, None):
        wrong = {"inputs": [in_json(pixels)], "parameters": {"binary_data_output": value}}
        yield as_json(f"outputs: binary_data_output {json.dumps(value)}", wrong)
