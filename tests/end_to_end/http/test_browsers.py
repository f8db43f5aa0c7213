"""What browsers need: gRPC-Web as text, calls by GET, and other origins."""

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from urllib.parse import urlencode

import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb

from tests.support.http_calls import CLASSIFY, JSON, ask, encoded
from tests.support.server import STEM, Server, StartServer

TEXT = "application/grpc-web-text"
LIST = STEM + "ListModels"
HERE, THERE = "https://lessons.example", "http://localhost:3000"


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


@pytest.mark.parametrize("media", [TEXT, TEXT + "+proto"])
@pytest.mark.parametrize("images", [1, 2, 200])
def test_grpc_web_as_text_is_grpc_web_in_base64(server: Server, media: str, images: int):
    """The same frames: one of the message, one of the trailers."""
    message = framed(pb.ClassifyRequest(pixels=bytes(784 * images)).SerializeToString())
    status, headers, body = server.http(CLASSIFY, b64encode(message), content_type=media)
    assert (status, headers["content-type"]) == (200, TEXT + "+proto")
    data = b64decode(body, validate=True)
    length = int.from_bytes(data[1:5], "big")
    assert len(pb.ClassifyResponse.FromString(data[5 : 5 + length]).predictions) == images
    assert data[5 + length] == 0x80
    assert b"grpc-status: 0" in data[5 + length :]


@pytest.mark.parametrize("body", [b"*", b"AAAA*AAA", b"AAA", b"AA==AAAA"])
def test_text_that_is_no_base64_is_refused(server: Server, body: bytes):
    """With the status and sentence of gRPC-Web."""
    _, headers, answer = server.http(CLASSIFY, body, content_type=TEXT)
    told = str(headers) + b64decode(answer).decode("latin-1")
    assert "3" in (headers.get("grpc-status"), told.partition("grpc-status: ")[2][:1])
    assert "Base64" in told


@pytest.mark.parametrize(
    "query",
    [
        {"encoding": "json", "message": "{}"},
        {"encoding": "proto", "message": ""},
        {"encoding": "json", "message": urlsafe_b64encode(b"{}").decode().rstrip("="), "base64": "1", "connect": "v1"},
    ],
)
def test_a_call_without_side_effects_may_be_a_get(server: Server, query: dict[str, str]):
    """Its answer is the one that POST has."""
    status, _, answer = server.http(f"{LIST}?{urlencode(query)}")
    _, _, posted = ask(server, {}, LIST)
    assert status == 200
    if query["encoding"] == "json":
        assert json.loads(answer) == posted
    else:
        found = pb.ListModelsResponse.FromString(answer)
        assert [each.name for each in found.models] == [each["name"] for each in posted["models"]]


def test_an_image_may_be_classified_by_get(server: Server):
    """And what is wrong with it has the same sentence."""
    query = urlencode({"encoding": "json", "message": json.dumps({"pixels": encoded(bytes(784))})})
    status, _, answer = server.http(f"{CLASSIFY}?{query}")
    assert (status, len(json.loads(answer)["predictions"])) == (200, 1)
    query = urlencode({"encoding": "json", "message": json.dumps({"pixels": "AA=="})})
    status, _, answer = server.http(f"{CLASSIFY}?{query}")
    assert (status, json.loads(answer)["message"][:20]) == (400, "pixels: has 1 bytes,")


@pytest.fixture(scope="module")
def shared(start_for_module: StartServer) -> Server:
    """A server that pages of two origins may call."""
    return start_for_module(f"--cors-origin={HERE},{THERE}", "--max-concurrent-calls=1", "--client-rate=1000")


def allowed(headers: dict[str, str]) -> str | None:
    return headers.get("access-control-allow-origin")


@pytest.mark.parametrize("origin", [HERE, THERE])
def test_a_named_origin_may_call(shared: Server, origin: str):
    """After a preflight that allows what clients send; the answer shows what they read, of errors too."""
    asked = {"access_control_request_method": "POST", "access_control_request_headers": "content-type"}
    status, headers, body = shared.http(CLASSIFY, method="OPTIONS", origin=origin, **asked)
    assert (status, allowed(headers), body) == (204, origin, b"")
    assert "POST" in headers["access-control-allow-methods"]
    assert {"content-type", "authorization", "x-grpc-web", "traceparent"} <= set(
        headers["access-control-allow-headers"].split(", ")
    )
    for path, body in (
        ("/v2/models/mnist-16x16/infer", b"{}"),
        (CLASSIFY, json.dumps({"pixels": encoded(bytes(784))}).encode()),
        (CLASSIFY, b"{"),
        ("/no", b""),
    ):
        _, headers, _ = shared.http(path, body, origin=origin, **JSON)
        assert allowed(headers) == origin
        assert "origin" in headers["vary"]
        assert ("x-request-id" in headers) is (path != "/no")
        assert {"grpc-status", "x-request-id"} <= set(headers["access-control-expose-headers"].split(", "))


@pytest.mark.parametrize(
    "origin", ["https://lessons.example.evil", "http://lessons.example", "null", HERE + ":443", "*"]
)
def test_no_other_origin_may(shared: Server, server: Server, origin: str):
    """Nor any where none is named."""
    asked = {"access_control_request_method": "POST"}
    for each, name in ((shared, origin), (server, HERE)):
        status, headers, _ = each.http(CLASSIFY, method="OPTIONS", origin=name, **asked)
        assert (status, allowed(headers)) == (405, None)
        _, headers, _ = each.http(LIST, b"{}", origin=name, **JSON)
        assert allowed(headers) is None
