"""ModelInfer over REST: every form gives what onnxruntime gives, with and without the fast path."""

import base64
import gzip
import json
import zlib
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest
import pytest_asyncio
from digits_protocol.digits.v1 import digits_pb2

from artifact.store import VersionFolder
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.pictures import file_of
from tests.support.server import MODELS, small_models
from tests.unit.service.transports.http.rest.exchange import INFER, MODEL, Door

PREFIX = "digits-test-rest"
ALL_BINARY = {"parameters": {"binary_data_output": True}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door():
    settings = Settings(models=small_models(), log_level="error", shared_memory=PREFIX)
    async with App.open(settings) as app:
        yield Door(app)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Real test images, uint8 [N, 784]."""
    return VersionFolder(MODELS, MODEL, 2).read_golden().pixels[:9]


def tensor(values: np.ndarray, **more) -> dict:
    datatype = {"uint8": "UINT8", "float32": "FP32"}[str(values.dtype)]
    return {"name": "pixels", "datatype": datatype, "shape": list(values.shape)} | more


def behind(values: np.ndarray) -> dict:
    """The tensor whose values come behind the JSON."""
    return tensor(values, parameters={"binary_data_size": values.nbytes})


def wanted(*names: str, **parameters) -> list[dict]:
    return [{"name": name, "parameters": parameters} for name in names]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(9, 784), (9, 28, 28), (9, 1, 28, 28), (9, 28, 28, 1)])
async def test_every_form_of_tensors_gives_the_same_scores(door: Door, pixels, dtype, shape):
    """Nested, flat and binary in; JSON and binary out; one output, several, and none named."""
    values = pixels.reshape(shape).astype(dtype)
    right = door.app.repository.find(MODEL, "").session.run(pixels, hidden=True)
    expected = {"label": right.labels, "scores": right.scores.ravel(), "hidden_1": right.hidden[0].ravel()}
    forms = [
        ((tensor(values, data=values.tolist()),), ()),
        ((tensor(values, data=values.ravel().tolist()),), ()),
        ((behind(values),), (values.tobytes(),)),
    ]
    for inputs, tensors in forms:
        for names in ([], ["scores"], ["hidden_1", "label", "scores"]):
            for binary in (True, False):
                request = {"inputs": inputs, "id": "seven"}
                request |= {"outputs": wanted(*names, binary_data=binary)} if names else ALL_BINARY if binary else {}
                status, found, outputs = await door.infer(request, *tensors)
                assert (status, found["id"], found["model_version"]) == (200, "seven", "2")
                assert list(outputs) == (names or ["label", "scores"])
                for name, got in outputs.items():
                    assert np.array_equal(np.array(got, expected[name].dtype), expected[name]), name


@pytest.mark.asyncio(loop_scope="module")
async def test_pixels_are_read_where_they_lie(door: Door, pixels, monkeypatch):
    """By the fast path: what is queued is a view of the body that came."""
    version, seen = door.app.repository.find(MODEL, ""), []
    submit = version.batcher.submit
    monkeypatch.setattr(
        version.batcher, "submit", lambda rows, *rest, **more: seen.append(rows) or submit(rows, *rest, **more)
    )
    status, _, _ = await door.infer({"inputs": [behind(pixels)]} | ALL_BINARY, pixels.tobytes())
    assert status == 200
    assert len(seen) == 3
    assert [type(rows.base.base if rows.base is not None else None) for rows in seen] == [bytes] * 3


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("id_", ["", "seven", "ein Sieben – 7", "\ud800", 'a"b'])
async def test_an_id_comes_back(door: Door, pixels, id_):
    """Whatever text it is, but for what is no text."""
    status, found, _ = await door.infer({"inputs": [behind(pixels)], "id": id_} | ALL_BINARY, pixels.tobytes())
    if id_ == "\ud800":
        assert (status, found["error"]) == (400, "id: holds half of a surrogate pair")
    else:
        assert (status, found.get("id", "")) == (200, id_)


@pytest.mark.asyncio(loop_scope="module")
async def test_pixels_alone_are_a_request(door: Door, pixels):
    """The JSON has 0 bytes, and all outputs are binary."""
    status, told, body = await door.ask(INFER, pixels.tobytes(), inference_header_content_length=0)
    found = json.loads(body[: int(told["inference-header-content-length"])])
    assert (status, [output["shape"] for output in found["outputs"]]) == (200, [[9], [9, 10]])
    assert body.endswith(door.app.repository.find(MODEL, "").session.run(pixels).scores.tobytes())
    status, _, body = await door.ask(INFER, pixels.tobytes()[:-1], inference_header_content_length=0)
    assert (status, "expected 784 an image" in json.loads(body)["error"]) == (400, True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_bodies_are_compressed_as_the_client_does(door: Door, pixels, encoding):
    """In both directions; small answers are sent as they are."""
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    unpack = gzip.decompress if encoding == "gzip" else zlib.decompress
    text = json.dumps({"inputs": [tensor(pixels, data=pixels.tolist())]}).encode()
    _, _, plain = await door.ask(INFER, text)
    status, told, body = await door.ask(
        INFER, pack(text), content_encoding=encoding, accept_encoding=f"br, {encoding};q=0.5"
    )
    assert (status, told["content-encoding"]) == (200, encoding)
    assert json.loads(unpack(body))["outputs"] == json.loads(plain)["outputs"]
    for accepted in ("", "br", f"{encoding};q=0", "identity"):
        _, told, _ = await door.ask(INFER, text, accept_encoding=accepted)
        assert "content-encoding" not in told
    one = json.dumps({"inputs": [behind(pixels[:1])], "outputs": wanted("label", binary_data=True)}).encode()
    size = {"inference_header_content_length": len(one)}
    _, told, _ = await door.ask(INFER, one + pixels[:1].tobytes(), accept_encoding=encoding, **size)
    assert "content-encoding" not in told


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_comes_in_pieces_of_any_size(door: Door, pixels, monkeypatch):
    """Byte by byte too, and more pieces than are kept apart."""
    monkeypatch.setattr("service.transports.http.rest.application.MAX_PIECES", 10)
    text = json.dumps({"inputs": [behind(pixels[:1])]} | ALL_BINARY).encode()
    body = text + pixels[:1].tobytes()
    right = door.app.repository.find(MODEL, "").session.run(pixels[:1]).scores.tobytes()
    for size in (1, 7, 500):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        status, _, answer = await door.ask(INFER, pieces, inference_header_content_length=len(text))
        assert (status, answer[-40:]) == (200, right)


@pytest.mark.asyncio(loop_scope="module")
async def test_classes_and_warnings_are_texts(door: Door, pixels):
    """As JSON, and as raw elements behind their lengths."""
    odd = np.concatenate([pixels[:1], np.zeros((1, 784), np.uint8)])
    request = {
        "inputs": [tensor(odd, data=odd.tolist())],
        "outputs": wanted("warnings") + wanted("scores", classification=2),
    }
    _, found, outputs = await door.infer(request)
    assert outputs["warnings"] == ["", "blank"]
    assert [each.split(":")[2] for each in outputs["scores"][:1]] == [
        str(door.app.repository.find(MODEL, "").session.run(odd).labels[0])
    ]
    assert found["outputs"][1] == {"name": "scores", "datatype": "BYTES", "shape": [2, 2], "data": outputs["scores"]}
    _, _, outputs = await door.infer(request | {"outputs": wanted("warnings", binary_data=True)})
    assert outputs["warnings"].tobytes() == b"\0\0\0\0\5\0\0\0blank"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_picture_is_a_request(door: Door, pixels):
    """Base64 and a data: URL in JSON, the file itself behind it."""
    file = file_of(pixels[0].reshape(28, 28))
    text = base64.b64encode(file).decode()
    image = {"name": "image", "datatype": "BYTES", "shape": [1]}
    answers = [
        await door.infer({"inputs": [image | {"data": [each]}]}) for each in (text, f"data:image/png;base64,{text}")
    ]
    raw = len(file).to_bytes(4, "little") + file
    answers.append(await door.infer({"inputs": [image | {"parameters": {"binary_data_size": len(raw)}}]}, raw))
    classify = digits_pb2.ClassifyRequest(model=MODEL, encoded_images=[file])
    answer = await door.app.methods["/digits.v1.DigitsService/Classify"].handler(classify, LocalContext())
    label = answer.predictions[0].digit
    assert [(status, outputs["label"]) for status, _, outputs in answers] == [(200, [label])] * 3
    assert answers[0][2] == answers[1][2] == answers[2][2]


@pytest.mark.asyncio(loop_scope="module")
async def test_tensors_lie_in_shared_memory(door: Door, pixels):
    """Both ways; a region that is gone is not remembered."""
    region = SharedMemory(f"{PREFIX}-1", create=True, size=784 + 40)
    stem = "/v2/systemsharedmemory/region/r"
    try:
        region.buf[:784] = pixels[0].tobytes()
        register = json.dumps({"key": f"/{region.name}", "byte_size": 824}).encode()
        first = await door.slow_ask(f"{stem}/register", register)
        assert first[::2] == (200, b"")
        inputs = [tensor(pixels[:1], parameters={"shared_memory_region": "r", "shared_memory_byte_size": 784})]
        place = {"shared_memory_region": "r", "shared_memory_byte_size": 40, "shared_memory_offset": 784}
        request = {"inputs": inputs, "outputs": wanted("scores", **place)}
        status, found, _ = await door.infer(request, inference_header_content_length=len(json.dumps(request)))
        assert (status, found["outputs"][0]["parameters"]) == (200, place)
        right = door.app.repository.find(MODEL, "").session.run(pixels[:1]).scores
        assert np.array_equal(np.frombuffer(region.buf[784:].tobytes(), np.float32), right[0])
        assert (await door.slow_ask(f"{stem}/unregister", b"", "POST"))[0] == 200
        status, found, _ = await door.infer(request, inference_header_content_length=len(json.dumps(request)))
        assert (status, "not registered" in found["error"]) == (400, True)
    finally:
        region.close()
        region.unlink()
