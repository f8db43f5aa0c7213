"""Requests over REST that are wrong: the status, and one sentence that names the field; the same both ways."""

import gzip
import json

import pytest
import pytest_asyncio

from service.app import App
from service.config import Settings
from tests.support.server import small_models
from tests.unit.service.transports.http.rest.exchange import INFER, MODEL, Door

ONE = bytes(784)
GOOD = {"name": "pixels", "datatype": "UINT8", "shape": [1, 784], "data": [0] * 784}
BINARY = {key: GOOD[key] for key in ("name", "datatype", "shape")} | {"parameters": {"binary_data_size": 784}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door():
    async with App.open(Settings(models=small_models(), log_level="error")) as app:
        yield Door(app)


def with_data(*values: object) -> dict:
    return {"inputs": [GOOD | {"data": [*values, *[0] * (784 - len(values))]}]}


def with_input(**changes: object) -> dict:
    return {"inputs": [GOOD | changes]}


def with_size(size: object) -> dict:
    return {"inputs": [BINARY | {"parameters": {"binary_data_size": size}}], "parameters": {"binary_data_output": True}}


JSON = {
    "no JSON": (b"{", "body: is no JSON: "),
    "a list": (b"[]", "body: is a list, expected an object"),
    "null": (b"null", "body: is null, expected an object"),
    "no UTF-8": (b"\xff", "body: is no UTF-8, and tensors in binary need the header field Inference-Header-Content-L"),
    "NaN": (b'{"inputs": [NaN]}', "body: is no JSON: NaN is no number of JSON"),
    "Infinity": (b'{"a": -Infinity}', "body: is no JSON: -Infinity is no number of JSON"),
    "depth": (b'{"a":' * 100_000, "body: is JSON nested too deeply"),
    "depth of lists": (b"[" * 100_000, "body: is JSON nested too deeply"),
    "a number of 5,000 digits": (b'{"a": 1' + b"0" * 5000 + b"}", "body: is no JSON: Exceeds the limit"),
    "a million names": (b'{"a": [' + b'{"a":0},' * 100_000 + b"0]}", "body: has more than 100000 names in its JSON"),
    "millions of values": (b'{"a": [' + b"0," * 2**21 + b"0]}", "body: has more than 1148576 values in its JSON"),
    "a key twice": (b'{"id": "a", "id": "b"}', "body: is no JSON: 'id' is there twice"),
    "nothing": ({}, "inputs: is empty, expected one input, pixels or image"),
    "inputs as an object": ({"inputs": {}}, "inputs: is an object, expected a list"),
    "an input as text": ({"inputs": ["pixels"]}, "inputs[0]: is text, expected an object"),
    "an id as a number": ({"id": 7}, "id: is a number, expected text"),
    "a name as a number": (with_input(name=7), "inputs[0].name: is a number, expected text"),
    "a wrong name": (with_input(name="mask"), "inputs[0].name: is 'mask', expected pixels or image"),
    "a shape as a number": (with_input(shape=784), "inputs[0].shape: is a number, expected a list"),
    "a shape of text": (with_input(shape=["1", 784]), "inputs[0].shape: holds something else than whole numbers of 64"),
    "a shape of truth": (
        with_input(shape=[True, 784]),
        "inputs[0].shape: holds something else than whole numbers of 64",
    ),
    "a shape of 2**63": (with_input(shape=[2**63]), "inputs[0].shape: holds something else than whole numbers of 64"),
    "a shape too small": (with_input(shape=[1, 700]), "inputs[0].data: has 784 values, expected 700 by its shape"),
    "a huge shape": (with_input(shape=[2**62] * 8), "inputs[0].data: has 784 values, expected"),
    "thousands of dimensions": (
        with_input(shape=[2**62] * 9000),
        "inputs[0].shape: has 9000 dimensions, expected 2 to 4",
    ),
    "a wrong shape": (with_input(shape=[784, 1]), "inputs[0].shape: is [784, 1], expected [N, 784] or [N, 28, 28]"),
    "a wrong datatype": (with_input(datatype="INT64"), "inputs[0].datatype: is 'INT64', expected UINT8"),
    "no values": (with_input(data=None), "inputs[0]: has its values 0 times, expected them once"),
    "values as text": (with_input(data="0"), "inputs[0].data: is text, expected a list"),
    "256": (with_data(256), "inputs[0].data: holds 256, expected whole numbers in 0..255"),
    "-1": (with_data(-1), "inputs[0].data: holds -1, expected whole numbers in 0..255"),
    "2**70": (with_data(2**70), "inputs[0].data: holds something else than numbers of UINT8"),
    "0.5": (with_data(0.5), "inputs[0].data: holds something else than numbers of UINT8"),
    "true": (with_data(True), "inputs[0].data: holds something else than numbers of UINT8"),
    "text among numbers": (with_data(0, "0"), "inputs[0].data: holds something else than numbers of UINT8"),
    "a list among numbers": (with_data([0], 0), "inputs[0].data: holds lists and other values side by side"),
    "a list behind a number": (with_data(0, [0]), "inputs[0].data: holds something else than numbers of UINT8"),
    "scaled pixels": (
        with_data(0.5)["inputs"][0] | {"datatype": "FP32"},
        "inputs[0]: image 0 has a pixel of 0.5; model",
    ),
    "1e999": (with_data(1e300)["inputs"][0] | {"datatype": "FP32"}, "inputs[0]: image 0 has a pixel of inf; model"),
    "text for pictures": (
        with_input(name="image", datatype="BYTES", shape=[1], data=["?"]),
        "inputs[0].data[0]: is '?', ",
    ),
    "text that is no picture": (
        with_input(name="image", datatype="BYTES", shape=[1], data=["AAAA"]),
        "inputs[0][0]: the bytes are not an",
    ),
    "pictures as numbers": (
        with_input(name="image", datatype="BYTES", shape=[1], data=[7]),
        "inputs[0].data[0]: is a number",
    ),
    "a parameter as a list": ({"parameters": {"a": [1]}}, "parameters[a]: is a list that no parameter can be"),
    "a parameter of 2**64": ({"parameters": {"a": 2**64}}, "parameters[a]: is a number that no parameter can be"),
    "half of a surrogate pair": (
        {"parameters": {"a\ud800": "\ud800"}},
        "parameters[a?]: is text that no parameter can be",
    ),
    "a timeout as text": ({"parameters": {"timeout": "5"}, "inputs": [GOOD]}, "parameters[timeout]: is no int64_param"),
    "binary_data_output": (
        {"parameters": {"binary_data_output": 1}},
        "parameters[binary_data_output]: is a number, expected",
    ),
    "binary_data": (
        {"inputs": [GOOD], "outputs": [{"name": "label", "parameters": {"binary_data": "x"}}]},
        "outputs[0].parameters[binary_data]: is text, expected true or false",
    ),
    "an output as text": ({"inputs": [GOOD], "outputs": ["label"]}, "outputs[0]: is text, expected an object"),
    "an unknown output": (
        {"inputs": [GOOD], "outputs": [{"name": "x"}]},
        "outputs[0].name: is 'x', expected one of label",
    ),
    "0 classes": (
        {"inputs": [GOOD], "outputs": [{"name": "scores", "parameters": {"classification": 0}}]},
        "outputs[0].parameters[classification]: is 0, expected an integer of at least 1",
    ),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", JSON)
async def test_wrong_json_is_refused_by_a_sentence(door: Door, case: str):
    """400, and the field."""
    value, sentence = JSON[case]
    if isinstance(value, dict) and "datatype" in value:
        value = {"inputs": [value]}
    status, found, _ = await door.infer(value)
    assert (status, found["error"][: len(sentence)]) == (400, sentence)


LENGTHS = {
    "one too few": (with_size(783), "body: has 784 bytes of tensors, and the inputs name 783 by binary_data_size"),
    "one too many": (
        with_size(785),
        "inputs[0].parameters[binary_data_size]: is 785, and 784 bytes are left behind the",
    ),
    "negative": (with_size(-1), "inputs[0].parameters[binary_data_size]: is -1, and 784 bytes"),
    "text": (with_size("784"), 'inputs[0].parameters[binary_data_size]: is "784", and 784 bytes'),
    "a fraction": (with_size(784.0), "inputs[0].parameters[binary_data_size]: is 784.0, and 784 bytes"),
    "true": (with_size(True), "inputs[0].parameters[binary_data_size]: is true, and 784 bytes"),
    "huge": (with_size(2**62), "inputs[0].parameters[binary_data_size]: is 4611686018427387904, and 784 bytes"),
    "missing": (with_size(None), "inputs[0]: has its values 0 times, expected them once"),
    "both": ({"inputs": [BINARY | {"data": [0] * 784}]}, "inputs[0]: has its values 2 times, expected them once"),
    "twice": ({"inputs": [BINARY] * 2}, "inputs[1].parameters[binary_data_size]: is 784, and 0 bytes are left behind"),
    "a wrong shape": (
        {"inputs": [BINARY | {"shape": [2, 784]}]},
        "inputs[0]: has 784 bytes, expected 1568 for UINT8 [2,",
    ),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", LENGTHS)
async def test_wrong_lengths_of_tensors_are_refused_by_a_sentence(door: Door, case: str):
    """Those that the inputs name."""
    value, sentence = LENGTHS[case]
    status, found, _ = await door.infer(value, ONE)
    assert (status, found["error"][: len(sentence)]) == (400, sentence)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("length", ["-1", "x", "1.5", "+5", "1e2", "9999", "9" * 30, "²", "0x10"])
async def test_a_wrong_length_of_the_json_is_refused_by_a_sentence(door: Door, length: str):
    """It is digits alone, and not more than the body."""
    status, found, _ = await door.infer(with_size(784), ONE, inference_header_content_length=length)
    assert (status, found["error"].startswith("Inference-Header-Content-Length: is ")) == (400, True)


@pytest.mark.asyncio(loop_scope="module")
async def test_wrong_encodings_are_refused_by_a_sentence(door: Door):
    """One that is not there, one that is none, one that ends early, and one that grows beyond the limit."""
    good = json.dumps({"inputs": [GOOD]}).encode()
    bomb = gzip.compress(bytes(17 * 2**20))
    for body, encoding, status, sentence in (
        (good, "br", 501, "Content-Encoding is 'br', expected one of gzip, deflate"),
        (good, "gzip", 400, "no valid gzip"),
        (gzip.compress(good)[:-9], "gzip", 400, "no valid gzip"),
        (gzip.compress(good) + b"x", "gzip", 400, "no valid gzip"),
        (gzip.compress(good), "deflate", 400, "no valid deflate"),
        (bomb, "gzip", 413, "once it is decompressed"),
    ):
        got, _, answer = await door.ask(INFER, body, content_encoding=encoding)
        assert (got, sentence in json.loads(answer)["error"]) == (status, True)


PATHS = {
    "/v2/nothing": (404, "there is nothing at '/v2/nothing'"),
    "/v2/": (404, "there is nothing at '/v2/'"),
    "/v2/models": (404, "there is nothing"),
    f"/v2/models//{MODEL}": (404, "there is nothing"),
    f"/v2/models/{MODEL}/": (404, "there is nothing"),
    f"/v2/models/{MODEL}/versions": (404, "there is nothing"),
    "/v2/models/nobody": (404, "there is no model 'nobody'"),
    f"/v2/models/{MODEL}/versions/9": (404, "has no version '9'"),
    f"/v2/models/{MODEL}/versions/new": (400, "version: is 'new', expected a whole number"),
    "/v2/models/../ready": (400, "path: '..' in it is no name"),
    "/v2/models/%2e%2e/ready": (400, "path: '%2e%2e' in it is no name"),
    "/v2/models/a%2Fb": (400, "path: 'a%2Fb' in it is no name"),
    "/v2/models/..%5cb": (400, "path: '..%5cb' in it is no name"),
    "/v2/models/%00": (400, "path: '%00' in it is no name"),
    "/v2/models/a%0d%0ab": (400, "path: 'a%0d%0ab' in it is no name"),
    "/v2/models/%ff": (400, "path: '%ff' in it is not UTF-8"),
    "/v2/systemsharedmemory/region/%2e/status": (400, "path: '%2e' in it is no name"),
    "/v2/trace/setting": (501, "this server writes no traces"),
    "/v2/logging": (501, "logging is set when the server starts"),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", PATHS)
async def test_wrong_paths_are_refused_by_a_sentence(door: Door, path: str):
    """Names are those of models, versions and regions."""
    status, _, body = await door.ask(path)
    wanted, sentence = PATHS[path]
    assert (status, sentence in json.loads(body)["error"]) == (wanted, True)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_path_tells_its_verbs(door: Door):
    """405 with the header that HTTP wants; HEAD is GET without the body."""
    for path, verb, allowed in (
        (INFER, "GET", "POST"),
        (f"/v2/models/{MODEL}", "POST", "GET"),
        ("/v2/logging", "PUT", "GET, POST"),
    ):
        status, headers, body = await door.ask(path, verb=verb)
        assert (status, headers["allow"], "takes" in json.loads(body)["error"]) == (405, allowed, True)
    status, headers, body = await door.ask("/v2", verb="HEAD")
    assert (status, body, int(headers["content-length"]) > 50) == (200, b"", True)


BODIES = {
    "/v2/repository/index": ({"ready": "yes"}, "ready: is text that this field cannot be"),
    f"/v2/repository/models/{MODEL}/load": ({"parameters": {"config": "{}"}}, "parameters[config]: is set, and models"),
    f"/v2/repository/models/{MODEL}/unload": (
        {"parameters": {"a": 0.5}},
        "parameters[a]: is a number that no parameter can",
    ),
    "/v2/systemsharedmemory/region/r/register": (
        {"key": "/a", "byte_size": -1},
        "byte_size: is a number that this field",
    ),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", BODIES)
async def test_wrong_bodies_of_other_calls_are_refused_by_a_sentence(door: Door, path: str):
    """By their fields, too."""
    value, sentence = BODIES[path]
    status, _, body = await door.ask(path, json.dumps(value).encode())
    assert (status, sentence in json.loads(body)["error"]) == (400, True)
    status, _, body = await door.ask(path, b"[")
    assert (status, "body: is no JSON" in json.loads(body)["error"]) == (400, True)
