"""The HTTP side of the real server: JSON and gRPC-Web answer as gRPC does, and refuse as it does."""

import gzip
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from connectrpc.client import ConnectClient
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_codecs
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.json_format import MessageToJson, Parse
from google.rpc.error_details_pb2 import BadRequest

from tests.support.http_calls import CLASSIFY, JSON, ask, detail, encoded
from tests.support.server import STEM, Server, Stub


def web_client(server: Server, **given) -> ConnectClient:
    [binary] = [codec for codec in google_protobuf_codecs() if codec.name() == "proto"]
    address = f"http://127.0.0.1:{server.http_port}"
    return ConnectClient(address, codec=binary, protocol=ProtocolType.GRPC_WEB, **given)


INFO = MethodInfo(
    name="Classify",
    service_name="digits.v1.DigitsService",
    input=pb.ClassifyRequest,
    output=pb.ClassifyResponse,
    idempotency_level=IdempotencyLevel.UNKNOWN,
    stream_type=StreamType.UNARY,
)


def test_json_answers_are_those_of_grpc(server: Server, stub: Stub, mnist_test):
    """The same scores to the last bit, activations included; bytes travel as base64, a zero is not left out."""
    request = pb.ClassifyRequest(pixels=mnist_test[0][:20].tobytes(), include_activations=True)
    status, headers, answer = ask(server, {"pixels": encoded(request.pixels), "includeActivations": True})
    assert (status, headers["content-type"]) == (200, "application/json")
    assert "server" not in headers
    told = Parse(json.dumps(answer), pb.ClassifyResponse())
    wanted = stub.classify(request, timeout=10)
    assert told.predictions == wanted.predictions
    assert told.model == wanted.model
    zeros = [each["digit"] for each in answer["predictions"] if each["digit"] == 0]
    assert len(zeros) == sum(each.digit == 0 for each in wanted.predictions) > 0


def test_json_tells_all_that_a_committee_does(server: Server, stub: Stub, mnist_test):
    """Candidates, and the chance that it is no digit at all."""
    request = pb.ClassifyRequest(model="mnist-committee", pixels=mnist_test[0][:20].tobytes(), coverage=0.9)
    status, _, answer = ask(server, json.loads(MessageToJson(request)))
    assert status == 200
    assert Parse(json.dumps(answer), pb.ClassifyResponse()).predictions == stub.classify(request).predictions
    assert all(0 < each["notADigit"] < 1 for each in answer["predictions"])
    assert any(each.get("candidates") for each in answer["predictions"])


@pytest.mark.parametrize(
    ("name", "message", "request_"),
    [
        ("ListModels", {}, pb.ListModelsRequest()),
        ("GetModel", {"model": "digits-8x8"}, pb.GetModelRequest(model="digits-8x8")),
        ("GetNetwork", {"layer": 2}, pb.GetNetworkRequest(layer=2)),
    ],
)
def test_every_unary_rpc_is_there(server: Server, stub: Stub, name: str, message: dict, request_):
    """As JSON, equal to what gRPC says."""
    method = {"ListModels": stub.list_models, "GetModel": stub.get_model, "GetNetwork": stub.get_network}[name]
    status, _, answer = ask(server, message, STEM + name)
    assert status == 200
    wanted = method(request_, timeout=10)
    assert Parse(json.dumps(answer), type(wanted)()) == wanted


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json; charset=utf-8", ""])
def test_an_image_file_is_classified_as_curl_sends_it(server: Server, seven: Path, content_type: str):
    """`curl -d` says that it sends a form; it is taken for the JSON that it is, and so is what says nothing."""
    body = json.dumps({"encodedImages": [encoded(seven.read_bytes())]}).encode()
    headers = {"content_type": content_type} if content_type else {}
    status, _, answer = server.http(CLASSIFY, body, **headers)
    assert status == 200
    [prediction] = json.loads(answer)["predictions"]
    assert prediction["digit"] == 7


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", ""])
def test_a_data_url_is_classified_as_a_browser_makes_it(server: Server, seven: Path, kind: str):
    """Whatever it says that the bytes are."""
    image = encoded(seven.read_bytes())
    _, _, wanted = ask(server, {"encodedImages": [image]})
    status, _, answer = ask(server, {"encodedImages": [f"data:{kind};base64,{image}"]})
    assert status == 200
    assert answer["predictions"] == wanted["predictions"]


def test_large_requests_and_answers_pass_and_protobuf_and_gzip_too(server: Server, stub: Stub, mnist_test):
    """A thousand images as JSON, as gzip'd JSON and as Protobuf give what gRPC gives."""
    request = pb.ClassifyRequest(pixels=mnist_test[0][:1000].tobytes())
    wanted = stub.classify(request, timeout=20).predictions
    text = json.dumps({"pixels": encoded(request.pixels)}).encode()
    for body, headers in ((text, {}), (gzip.compress(text), {"content_encoding": "gzip", "accept_encoding": "gzip"})):
        status, told, answer = server.http(CLASSIFY, body, **JSON, **headers)
        assert status == 200
        assert told["content-encoding"] == headers.get("accept_encoding", "identity")
        answer = gzip.decompress(answer) if headers else answer
        assert Parse(answer, pb.ClassifyResponse()).predictions == wanted
    status, _, answer = server.http(CLASSIFY, request.SerializeToString(), content_type="application/proto")
    assert status == 200
    assert pb.ClassifyResponse.FromString(answer).predictions == wanted


@pytest.mark.parametrize("compressed", [False, True])
async def test_grpc_web_answers_are_those_of_grpc(server: Server, mnist_test, compressed: bool):
    """By connectrpc's own client, with and without gzip."""
    pixels = mnist_test[0][:3].tobytes()
    with server.channel() as channel:
        wanted = Stub(channel).classify(pb.ClassifyRequest(pixels=pixels), timeout=10)
    async with web_client(server, **({} if compressed else {"send_compression": None})) as client:
        answer = await client.execute_unary(request=pb.ClassifyRequest(pixels=pixels), method=INFO)
    assert answer.predictions == wanted.predictions


async def test_grpc_web_errors_carry_their_details(server: Server):
    """Status, sentence and the field, as over gRPC."""
    async with web_client(server) as client:
        with pytest.raises(ConnectError) as raised:
            await client.execute_unary(request=pb.ClassifyRequest(pixels=b"x"), method=INFO)
    assert raised.value.code is Code.INVALID_ARGUMENT
    assert raised.value.message.startswith("pixels: has 1 bytes")
    packed, request_info = raised.value.details
    assert (packed.type_name, request_info.type_name) == ("google.rpc.BadRequest", "google.rpc.RequestInfo")
    assert BadRequest.FromString(packed.message_bytes).field_violations[0].field == "pixels"


async def test_a_grpc_web_frame_is_answered_by_frames(server: Server):
    """One of the message, one of the trailers, as a browser reads them."""
    message = pb.ClassifyRequest(pixels=bytes(784)).SerializeToString()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    status, headers, body = server.http(CLASSIFY, frame, content_type="application/grpc-web+proto")
    assert (status, headers["content-type"]) == (200, "application/grpc-web+proto")
    length = int.from_bytes(body[1:5], "big")
    assert body[0] == 0
    assert len(pb.ClassifyResponse.FromString(body[5 : 5 + length]).predictions) == 1
    trailers = body[5 + length :]
    assert trailers[0] == 0x80
    assert trailers[5:] == b"grpc-status: 0\r\n"


@pytest.mark.parametrize(
    ("message", "status", "code", "sentence"),
    [
        ({"pixels": "AAA="}, 400, "invalid_argument", "pixels: has 2 bytes"),
        ({"pixels": 7}, 400, "invalid_argument", "pixels: is a number, expected text in Base64"),
        ({"pixels": [0] * 784}, 400, "invalid_argument", "pixels: is a list, expected text in Base64"),
        ({"encodedImages": ["%%%"]}, 400, "invalid_argument", "encoded_images[0]: is '%%%', expected text in Base64"),
        ({"pixel": "AAA="}, 400, "invalid_argument", 'no field named "pixel"'),
        ({"encodedImages": ["AAAA"]}, 400, "invalid_argument", "encoded_images[0]"),
        ({"model": "nobody"}, 404, "not_found", "there is no model 'nobody'"),
        ([1], 400, "invalid_argument", "message: no digits.v1.ClassifyRequest in JSON"),
        ({"model": "\ud800"}, 400, "invalid_argument", "message: no digits.v1.ClassifyRequest in JSON"),
        ({"encodedImages": "\ud800"}, 400, "invalid_argument", "encoded_images: is text, expected a list"),
    ],
)
def test_errors_are_those_of_the_one_table(server: Server, message, status: int, code: str, sentence: str):
    """Their HTTP status by the Connect protocol, their code and sentence in JSON, the field as a detail."""
    told, headers, answer = ask(server, message)
    assert (told, headers["content-type"], answer["code"]) == (status, "application/json", code)
    assert sentence in answer["message"]
    if code == "invalid_argument":
        [violation] = detail(answer, BadRequest).field_violations
        assert answer["message"].startswith(f"{violation.field}: ")


@pytest.mark.parametrize("body", [b"{bad", b"\xff\xfe", b"[" * 100_000, b'{"pixels": "' + b"A" * 1_000_000])
def test_bad_json_is_invalid_and_nothing_worse(server: Server, body: bytes):
    """Broken, not UTF-8, nested without end, cut off."""
    status, _, answer = server.http(CLASSIFY, body, **JSON)
    assert status == 400
    assert json.loads(answer)["code"] == "invalid_argument"
    assert len(answer) < 2000


def test_bytes_that_are_no_message_or_not_compressed_are_invalid(server: Server):
    """With the sentence that gRPC's callers get."""
    status, _, answer = server.http(CLASSIFY, b"\xff\xff", content_type="application/proto")
    assert (status, json.loads(answer)["message"]) == (400, "message: 2 bytes that are no digits.v1.ClassifyRequest")
    status, _, answer = server.http(CLASSIFY, b"{}", **JSON, content_encoding="gzip")
    assert (status, json.loads(answer)["message"]) == (400, "message: 2 bytes that are not compressed by gzip")


@pytest.mark.parametrize(
    ("path", "method", "body", "headers", "status", "sentence"),
    [
        ("/nothing", "GET", None, {}, 404, "there is nothing at '/nothing'; there is /, /metrics"),
        ("/digits.v1.DigitsService/Nothing", "POST", b"{}", JSON, 404, "there is nothing at '/digits.v1"),
        ("/digits.v1.DigitsService/ClassifyStream", "POST", b"{}", JSON, 404, "there is nothing at"),
        ("/inference.GRPCInferenceService/ModelInfer", "POST", b"{}", JSON, 404, "there is nothing at"),
        (CLASSIFY, "PUT", b"{}", JSON, 405, "takes GET, POST, not 'PUT'"),
        (CLASSIFY, "GET", None, {}, 400, "encoding is '', expected json or proto in the query"),
        (CLASSIFY + "?encoding=xml&message=x", "GET", None, {}, 400, "encoding is 'xml', expected json or proto"),
        (CLASSIFY + "?encoding=json", "GET", None, {}, 400, "'message' parameter is required"),
        (
            CLASSIFY + "?encoding=proto&base64=1&message=AAA*",
            "GET",
            None,
            {},
            400,
            "message is 'AAA*', expected Base64",
        ),
        ("/metrics", "POST", b"", {}, 405, "takes GET, HEAD, not 'POST'"),
        (CLASSIFY, "POST", b"", {"content_type": "text/xml"}, 415, "content-type is 'text/xml', expected one of"),
        (CLASSIFY, "POST", b"", {"content_type": "application/grpc"}, 415, "native gRPC has a port of its own"),
        (CLASSIFY, "POST", b"", {"content_type": "application/grpc-web-text+json"}, 415, "expected one of"),
        (CLASSIFY, "POST", b"", {"content_type": "x/" + "y" * 900}, 415, "content-type is 'x/"),
        ("/" + "x" * 4000, "GET", None, {}, 404, "there is nothing at '/xxx"),
        (CLASSIFY, "POST", b"{}", JSON | {"content_encoding": "x" * 900}, 501, "unknown compression"),
        (CLASSIFY, "POST", b"{}", JSON | {"connect_timeout_ms": "9" * 900}, 400, "timeout"),
        (CLASSIFY, "POST", b"{}", JSON | {"connect_protocol_version": "x" * 900}, 400, "version"),
        (CLASSIFY, "POST", b"{}", JSON | {"x_name": "\xff"}, 400, "a header is not UTF-8"),
        (CLASSIFY, "POST", b"{}", JSON | {"content_encoding": "br"}, 501, "unknown compression"),
        (CLASSIFY, "POST", b"{}", JSON | {"connect_timeout_ms": "soon"}, 400, "timeout"),
    ],
)
def test_what_is_not_there_or_not_so_is_refused_with_a_sentence(
    server: Server, path: str, method: str, body: bytes | None, headers: dict, status: int, sentence: str
):
    """In JSON, and with the headers that say what would do."""
    told, given, answer = server.http(path, body, method, **headers)
    assert (told, given["content-type"]) == (status, "application/json")
    assert sentence in json.loads(answer)["message"]
    assert len(json.loads(answer)["message"]) <= 300
    assert {405: "allow", 415: "accept-post"}.get(status, "content-type") in given


def test_metadata_and_trailers_of_a_call_are_headers(server: Server):
    """Unknown ones do no harm."""
    status, _, _ = ask(server, {"pixels": encoded(bytes(784))}, x_name="Ada", x_data_bin="AAA")
    assert status == 200


def test_fifty_clients_at_once_get_their_own_answers(server: Server, stub: Stub, mnist_test):
    """Each its own digit, over JSON."""
    pixels = mnist_test[0][:200]
    wanted = [each.digit for each in stub.classify(pb.ClassifyRequest(pixels=pixels.tobytes()), timeout=10).predictions]
    got: dict[int, int] = {}

    def send(first: int) -> None:
        for index in range(first, 200, 50):
            answer = ask(server, {"pixels": encoded(pixels[index].tobytes())})[2]
            got[index] = answer["predictions"][0]["digit"]

    threads = [threading.Thread(target=send, args=(first,)) for first in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert np.array_equal([got[index] for index in range(200)], wanted)
