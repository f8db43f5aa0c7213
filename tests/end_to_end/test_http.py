"""The HTTP side of the real server: JSON and gRPC-Web beside gRPC, probes, metrics."""

import base64
import gzip
import json
import re
import signal
import socket
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from connectrpc.client import ConnectClient
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_codecs
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from google.protobuf.json_format import Parse
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from service.observe.metrics import FAMILIES
from stubs.digits.v1 import digits_pb2 as pb
from tests.harness import MODELS, ROOT, STEM, Server, StartServer, Stub
from tests.repositories import place

CLASSIFY = STEM + "Classify"
METHOD = "digits.v1.DigitsService/Classify"
JSON = {"content_type": "application/json"}
MNIST = ("mnist-16x16", "2")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def ask(server: Server, message: dict, path: str = CLASSIFY, **headers: str) -> tuple[int, dict, dict]:
    """Status, headers and the JSON of the answer."""
    status, told, body = server.http(path, json.dumps(message).encode(), **(JSON | headers))
    return status, told, json.loads(body)


def detail(answer: dict, kind: type):
    """The detail of that kind in an error's JSON."""
    [value] = [each["value"] for each in answer["details"] if each["type"] == kind.DESCRIPTOR.full_name]
    return kind.FromString(base64.b64decode(value + "=="))


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
    [packed] = raised.value.details
    assert packed.type_name == "google.rpc.BadRequest"
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
        ({"pixels": 7}, 400, "invalid_argument", "message: no digits.v1.ClassifyRequest in JSON"),
        ({"pixel": "AAA="}, 400, "invalid_argument", 'no field named "pixel"'),
        ({"encodedImages": ["AAAA"]}, 400, "invalid_argument", "encoded_images[0]"),
        ({"model": "nobody"}, 404, "not_found", "there is no model 'nobody'"),
        ([1], 400, "invalid_argument", "message: no digits.v1.ClassifyRequest in JSON"),
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


def test_a_message_over_the_limit_is_refused(start_server: StartServer):
    """As sent, and as it would be after decompression, with no invitation to try again."""
    server = start_server("--max-message-mb=1")
    text = json.dumps({"pixels": encoded(bytes(2**20))}).encode()
    for body, headers in ((text, {}), (gzip.compress(text), {"content_encoding": "gzip"})):
        status, told, answer = server.http(CLASSIFY, body, **JSON, **headers)
        assert (status, json.loads(answer)["code"]) == (429, "resource_exhausted")
        assert "details" not in json.loads(answer)
        assert "retry-after" not in told
    assert server.metrics()["digits_requests_total"]["RESOURCE_EXHAUSTED", METHOD, "", ""] == 2


def test_requests_beyond_the_bytes_that_may_wait_are_refused_like_a_full_queue(start_server: StartServer):
    """A slow sender's megabyte counts while it arrives; the next one is told when to come back."""
    server = start_server("--max-pending-mb=1")
    body = json.dumps({"pixels": encoded(bytes(700_000))}).encode()
    head = f"POST {CLASSIFY} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    for _ in range(20):  # whichever of the two is whole last is refused
        with socket.create_connection(("127.0.0.1", server.http_port)) as slow:
            slow.sendall(head + body[:-1])
            time.sleep(0.1)
            status, headers, answer = server.http(CLASSIFY, body, **JSON)
            if status == 429:
                slow.sendall(body[-1:])
                assert slow.recv(100).startswith(b"HTTP/1.1 400 ")  # 700,000 bytes are no whole images
                break
    assert status == 429
    assert headers["retry-after"] == "1"
    assert detail(json.loads(answer), RetryInfo).retry_delay.ToMilliseconds() == 100
    assert ask(server, {"pixels": encoded(bytes(784))})[0] == 200
    assert server.metrics()["digits_refused_total"]["", ""] >= 1


def test_calls_beyond_those_allowed_at_once_are_refused(start_server: StartServer):
    """Those that are still arriving count."""
    server = start_server("--max-concurrent-calls=1")
    with socket.create_connection(("127.0.0.1", server.http_port)) as slow:
        slow.sendall(f"POST {CLASSIFY} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{".encode())
        deadline = time.monotonic() + 10
        while (told := ask(server, {"pixels": encoded(bytes(784))}))[0] == 200 and time.monotonic() < deadline:
            pass
        assert (told[0], told[2]["code"]) == (429, "resource_exhausted")
        assert server.http("/healthz")[0] == 200
    deadline = time.monotonic() + 10
    while ask(server, {"pixels": encoded(bytes(784))})[0] != 200:
        assert time.monotonic() < deadline


def test_a_full_queue_says_when_to_return(start_server: StartServer):
    """RESOURCE_EXHAUSTED with RetryInfo, by HTTP's own header as well, and counted as a refusal."""
    server = start_server("--inline-us=0", "--max-batch-rows=1000", "--max-queue-rows=1000")
    body = json.dumps({"pixels": encoded(bytes(784 * 900))}).encode()
    refused: list[tuple[dict, bytes]] = []

    def send() -> None:
        for _ in range(20):
            status, headers, answer = server.http(CLASSIFY, body, **JSON)
            assert status in (200, 429)
            if status == 429:
                refused.append((headers, answer))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert refused
    headers, answer = refused[0]
    assert int(headers["retry-after"]) >= 1
    assert int(headers["trailer-grpc-retry-pushback-ms"]) >= 1
    assert detail(json.loads(answer), RetryInfo).retry_delay.ToMilliseconds() >= 1
    metrics = server.metrics()
    assert metrics["digits_refused_total"][MNIST] == len(refused)
    assert metrics["digits_requests_total"]["RESOURCE_EXHAUSTED", METHOD, *MNIST] == len(refused)


def test_a_deadline_that_passes_ends_the_call(start_server: StartServer):
    """By `connect-timeout-ms`: 504, the work dropped from the queue and counted there."""
    server = start_server("--inline-us=0", "--max-queue-rows=1000000")
    with server.channel() as channel:
        request = pb.ClassifyRequest(pixels=bytes(784 * 1000), include_activations=True)
        calls = [Stub(channel).classify.future(request, timeout=60) for _ in range(60)]
        calls[0].result()
        status, _, answer = ask(server, {"pixels": encoded(bytes(784))}, connect_timeout_ms="1")
        assert (status, answer["code"]) == (504, "deadline_exceeded")
        for call in calls:
            call.result()
    metrics = server.metrics()
    assert metrics["digits_requests_total"]["DEADLINE_EXCEEDED", METHOD, *MNIST] == 1
    assert metrics["digits_deadline_dropped_total"][MNIST] == 1


def test_a_client_that_hangs_up_is_not_waited_for(start_server: StartServer):
    """Its call is cancelled and counted so."""
    server = start_server("--inline-us=0", "--max-queue-rows=1000000")
    with server.channel() as channel:
        request = pb.ClassifyRequest(pixels=bytes(784 * 1000), include_activations=True)
        calls = [Stub(channel).classify.future(request, timeout=60) for _ in range(60)]
        calls[0].result()
        body = json.dumps({"pixels": encoded(bytes(784))}).encode()
        with socket.create_connection(("127.0.0.1", server.http_port)) as hasty:
            head = f"POST {CLASSIFY} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            hasty.sendall(head.encode() + body)
            deadline = time.monotonic() + 10
            while server.metrics()["digits_requests_in_flight"][METHOD,] <= 0 and time.monotonic() < deadline:
                pass
        for call in calls:
            call.result()
    assert server.metrics()["digits_requests_total"]["CANCELLED", METHOD, *MNIST] == 1


@pytest.mark.parametrize(
    ("path", "method", "body", "headers", "status", "sentence"),
    [
        ("/", "GET", None, {}, 404, "there is nothing at '/'; there is /metrics"),
        ("/digits.v1.DigitsService/Nothing", "POST", b"{}", JSON, 404, "there is nothing at '/digits.v1"),
        ("/digits.v1.DigitsService/ClassifyStream", "POST", b"{}", JSON, 404, "there is nothing at"),
        ("/inference.GRPCInferenceService/ModelInfer", "POST", b"{}", JSON, 404, "there is nothing at"),
        (CLASSIFY, "GET", None, {}, 405, "takes POST, not 'GET'"),
        ("/metrics", "POST", b"", {}, 405, "takes GET, HEAD, not 'POST'"),
        (CLASSIFY, "POST", b"", {"content_type": "text/xml"}, 415, "content-type is 'text/xml', expected one of"),
        (CLASSIFY, "POST", b"", {"content_type": "application/grpc"}, 415, "native gRPC has a port of its own"),
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
    assert {405: "allow", 415: "accept-post"}.get(status, "content-type") in given


def test_metadata_and_trailers_of_a_call_are_headers(server: Server):
    """Unknown ones do no harm."""
    status, _, _ = ask(server, {"pixels": encoded(bytes(784))}, x_name="Ada", x_data_bin="AAA")
    assert status == 200


def test_probes_follow_health(start_server: StartServer, tmp_path: Path):
    """Ready only while a model is; live as long as it answers."""
    ready = start_server()
    assert ready.http("/healthz")[::2] == (200, b"live\n")
    assert ready.http("/readyz")[::2] == (200, b"ready\n")
    assert ready.http("/readyz", method="HEAD")[::2] == (200, b"")
    place(tmp_path, "digits-8x8", 1, broken=True)
    waiting = start_server("--model-control=poll", models=tmp_path)
    assert waiting.http("/healthz")[::2] == (200, b"live\n")
    assert waiting.http("/readyz")[::2] == (503, b"no model is ready\n")
    assert waiting.metrics()["digits_model_load_failures_total"]["digits-8x8", "1"] == 1
    assert waiting.metrics()["digits_model_ready"]["digits-8x8", "1"] == 0


def test_while_models_load_the_server_lives_but_is_not_ready(start_server: StartServer):
    """It listens before it loads, so that a probe gets an answer."""
    server = start_server(wait=False)
    server.http_port = server.wait_for("listening")["http_port"]
    seen = set()
    while "serving" not in {line["event"] for line in server.lines}:
        seen.add(server.http("/readyz")[::2])
    assert (503, b"the models are being loaded\n") in seen


def test_sigterm_turns_readiness_off_and_lets_open_requests_finish(start_server: StartServer, mnist_test):
    """A request that arrives slowly is answered though the server drains; one that comes new is UNAVAILABLE."""
    server = start_server("--grace-seconds=20", "--inline-us=0", "--max-queue-rows=1000000")
    pixels = mnist_test[0][:1000]
    body = json.dumps({"pixels": encoded(pixels.tobytes())}).encode()
    head = f"POST {CLASSIFY} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with server.channel() as channel, socket.create_connection(("127.0.0.1", server.http_port)) as open_:
        request = pb.ClassifyRequest(pixels=pixels.tobytes(), include_activations=True)
        calls = [Stub(channel).classify.future(request, timeout=60) for _ in range(60)]
        calls[0].result()
        open_.sendall(head + body)
        deadline = time.monotonic() + 10
        while server.metrics()["digits_requests_in_flight"][METHOD,] < 60 and time.monotonic() < deadline:
            pass
        server.signal(signal.SIGTERM)
        server.wait_for("draining")
        assert server.http("/readyz")[::2] == (503, b"the server is draining\n")
        status, _, answer = ask(server, {"pixels": encoded(bytes(784))})
        assert (status, answer["code"]) == (503, "unavailable")
        probed = 0
        while not all(call.done() for call in calls):  # as long as gRPC drains, HTTP tells so
            try:
                assert server.http("/readyz")[0] == 503
                probed += 1
                time.sleep(0.05)
            except OSError:
                assert all(call.done() for call in calls)
        assert probed > 5
        received = b""
        while chunk := open_.recv(1 << 16):
            received += chunk
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert received.count(b'"margin"') == 1000
    assert server.process.wait(20) == 0


def test_a_port_in_use_is_refused_and_its_flag_named(server: Server, start_server: StartServer):
    """One sentence, exit code 1."""
    second = start_server(f"--http-port={server.http_port}", wait=False)
    assert second.process.wait(30) == 1
    second.reader.join(5)
    wanted = f"digits: cannot listen on 127.0.0.1:{server.http_port} (--http-port): Address already in use"
    assert "".join(second.text).strip() == wanted


def test_without_a_port_there_is_no_http(start_server: StartServer):
    """`--http-port=-1` serves gRPC alone."""
    server = start_server("--http-port=-1")
    assert server.http_port is None
    with server.channel() as channel:
        assert len(Stub(channel).classify(pb.ClassifyRequest(pixels=bytes(784)), timeout=10).predictions) == 1
    assert server.end() == 0


def test_metrics_show_what_was_sent_over_both_protocols(start_server: StartServer):
    """The same method by gRPC and by JSON is one series; histograms have as many observations as there were calls."""
    server = start_server()
    one = pb.ClassifyRequest(pixels=bytes(784))
    with server.channel() as channel:
        stub = Stub(channel)
        for _ in range(3):
            stub.classify(one, timeout=10)
        for bad in (pb.ClassifyRequest(pixels=b"x"), pb.ClassifyRequest(model="nobody")):
            with pytest.raises(grpc.RpcError):
                stub.classify(bad, timeout=10)
        with pytest.raises(grpc.RpcError):
            channel.unary_unary(CLASSIFY)(b"\xff\xff", timeout=10)
        assert len(list(stub.classify_stream(iter([pb.ClassifyStreamRequest(request=one)] * 5)))) == 5
    for message in ({"pixels": encoded(bytes(784 * 2))}, {"pixels": "AA=="}, {"model": 7}):
        ask(server, message)
    metrics = server.metrics()
    calls = {key: value for key, value in metrics["digits_requests_total"].items() if key[1].startswith("digits.v1.")}
    assert calls == {
        ("OK", METHOD, *MNIST): 4,
        ("INVALID_ARGUMENT", METHOD, *MNIST): 2,
        ("NOT_FOUND", METHOD, "", ""): 1,
        ("INVALID_ARGUMENT", METHOD, "", ""): 2,
        ("OK", METHOD + "Stream", "", ""): 1,
    }
    assert metrics["digits_stream_messages_total"] == {("OK", METHOD + "Stream", *MNIST): 5}
    assert metrics["digits_request_duration_seconds_count"][METHOD, *MNIST] == 6
    assert metrics["digits_queue_duration_seconds_count"][MNIST] == 9
    assert metrics["digits_rows_total"][MNIST] == metrics["digits_batch_rows_sum"][MNIST] == 10
    runs = metrics["digits_batch_rows_count"][MNIST]
    assert metrics["digits_inference_duration_seconds_count"][MNIST] == runs <= 9
    assert metrics["process_resident_memory_bytes"][()] > 2**20
    assert metrics["process_cpu_seconds_total"][()] > 0
    assert abs(metrics["process_start_time_seconds"][()] - time.time()) < 60
    sha256, provider = {key[3]: (key[2], key[1]) for key in metrics["digits_model_info"] if key[0] == MNIST[0]}["2"]
    assert json.loads((MODELS / "mnist-16x16" / "2" / "card.json").read_text())["version"] == 2
    with server.channel() as channel:
        model = Stub(channel).classify(one, timeout=10).model
    assert (model.sha256, model.execution_provider) == (sha256, provider)


def test_openmetrics_is_given_to_those_who_ask(server: Server):
    """By the Accept header that Prometheus sends."""
    status, headers, text = server.http("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert (status, text.endswith(b"# EOF\n")) == (200, True)
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")


def test_the_readme_documents_every_metric(server: Server):
    """Name, kind, labels and meaning, as /metrics has them, and nothing that is not there."""
    rows = re.findall(
        r"^\| `((?:digits|process)_\w+)` \| (\w+) \| (.*?) \| (.+) \|$", (ROOT / "README.md").read_text(), re.M
    )
    documented = {name: (kind, labels, meaning) for name, kind, labels, meaning in rows}
    assert documented == {
        name: (family.kind, ", ".join(family.labels), family.help) for name, family in FAMILIES.items()
    }
    text = server.http("/metrics")[2].decode()
    shown = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.M))
    assert shown == {name: meaning for name, (_, _, meaning) in documented.items()}


def test_what_the_http_side_logs_is_json_like_the_rest(start_server: StartServer):
    """No line of uvicorn's own, whatever is sent to it; one debug line a call."""
    server = start_server("--log-level=debug")
    with socket.create_connection(("127.0.0.1", server.http_port)) as rude:
        rude.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert rude.recv(1000).startswith(b"HTTP/1.1 400")
    ask(server, {"pixels": encoded(bytes(784))})
    ask(server, {"pixels": "AA=="})
    assert server.end() == 0
    assert all(line.startswith("{") for line in server.text)
    calls = [(line["method"], line["code"]) for line in server.lines if line["event"] == "call"]
    assert calls == [(CLASSIFY, "OK"), (CLASSIFY, "INVALID_ARGUMENT")]


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
