"""What a call leaves behind: identifiers at the client, a line in the log, spans at a collector."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import grpc
import numpy as np
import pytest
from digits_client import DigitsClient, InvalidInput
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import model_repository_pb2 as repository_pb
from digits_protocol.inference import open_inference_pb2 as infer_pb
from digits_protocol.inference import shared_memory_pb2 as memory_pb
from google.rpc.error_details_pb2 import RequestInfo
from google.rpc.status_pb2 import Status
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from tests.support.collector import Collector, collecting
from tests.support.http_calls import CLASSIFY, JSON, detail, encoded
from tests.support.server import STEM, Server, StartServer

TOKEN = "anna-anna-anna-anna"
AS_ANNA = ("authorization", f"Bearer {TOKEN}")
INFER = "/inference.GRPCInferenceService/"
IMAGE = np.zeros((28, 28), np.uint8)
ONE = pb.ClassifyRequest(model="mnist-16x16", pixels=IMAGE.tobytes())
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def infer_request() -> infer_pb.ModelInferRequest:
    request = infer_pb.ModelInferRequest(model_name="mnist-16x16", raw_input_contents=[bytes(2 * 784)])
    request.inputs.add(name="pixels", datatype="UINT8", shape=[2, 784])
    return request


def call(server: Server, path: str, message: object, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, dict]:
    """How a call by gRPC ends, and its trailing metadata."""
    with server.channel() as channel:
        stream = path.endswith("Stream")
        if stream:
            running = channel.stream_stream(path)(iter([message.SerializeToString()]), metadata=metadata, timeout=30)
            list(running)
            return running.code(), dict(running.trailing_metadata())
        try:
            _, done = channel.unary_unary(path).with_call(message.SerializeToString(), metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            done = error
        return done.code(), dict(done.trailing_metadata())


SENT = {"x-request-id": "order-17", "traceparent": PARENT, "tracestate": "vendor=1"}


@pytest.mark.parametrize(
    ("path", "message", "code"),
    [
        (STEM + "Classify", ONE, "OK"),  # on the fast path
        (STEM + "Classify", pb.ClassifyRequest(pixels=IMAGE.tobytes(), include_activations=True), "OK"),
        (STEM + "ListModels", pb.ListModelsRequest(), "OK"),
        (INFER + "ModelInfer", infer_request(), "OK"),
        (STEM + "ClassifyStream", pb.ClassifyStreamRequest(request=ONE), "OK"),
        (STEM + "Classify", pb.ClassifyRequest(pixels=b"x"), "INVALID_ARGUMENT"),
        (STEM + "GetModel", pb.GetModelRequest(model="none"), "NOT_FOUND"),
    ],
)
def test_identifiers_come_back(server: Server, path: str, message: object, code: str):
    """Those of the client, or a request id of the server's own; of a failed call as its RequestInfo as well.

    Only a plain call that sent none, and of which no log line has any, gets none.
    """
    ended, trailers = call(server, path, message, *SENT.items())
    assert ended.name == code
    assert SENT.items() <= trailers.items()
    _, fresh = call(server, path, message)
    plain = code == "OK" and message in (ONE, infer_request())
    assert len(fresh.get("x-request-id", "")) == (0 if plain else 32)  # nothing was recorded of a plain call
    assert "traceparent" not in fresh
    if code != "OK":
        status = Status.FromString(fresh["grpc-status-details-bin"])
        [info] = [each for each in status.details if each.Is(RequestInfo.DESCRIPTOR)]
        assert RequestInfo.FromString(info.value).request_id == fresh["x-request-id"]
    _, odd = call(server, path, message, ("x-request-id", "two words"), ("traceparent", "00-1-2-3"))
    assert len(odd["x-request-id"]) == 32
    assert "traceparent" not in odd


@pytest.mark.parametrize("media", ["application/json", "application/grpc-web+proto"])
def test_identifiers_come_back_over_http(server: Server, media: str):
    """As headers, of errors too."""
    bodies = {
        "application/json": [json.dumps({"pixels": encoded(data)}).encode() for data in (bytes(784), b"x")],
        "application/grpc-web+proto": [
            b"\0" + len(data).to_bytes(4, "big") + data
            for data in (pb.ClassifyRequest(pixels=each).SerializeToString() for each in (bytes(784), b"x"))
        ],
    }
    for body in bodies[media]:
        sent = {key.replace("-", "_"): value for key, value in SENT.items()}
        _, headers, answer = server.http(CLASSIFY, body, content_type=media, **sent)
        assert SENT.items() <= headers.items()
        _, fresh, _ = server.http(CLASSIFY, body, content_type=media, x_request_id="y" * 129)
        assert len(fresh["x-request-id"]) == 32
    if media in JSON.values():
        assert detail(json.loads(answer), RequestInfo).request_id == "order-17"


@pytest.mark.parametrize("binary", [False, True])  # the latter on the fast path
def test_identifiers_come_back_over_rest(server: Server, binary: bool):
    """As headers, of errors too."""
    path, headers = "/v2/models/mnist-16x16/infer", {}
    tensor: dict = {"name": "pixels", "datatype": "UINT8", "shape": [1, 784]}
    body = json.dumps({"inputs": [{**tensor, "data": [0] * 784}]}).encode()
    if binary:
        tensor["parameters"] = {"binary_data_size": 784}
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        body, headers = head + bytes(784), {"inference_header_content_length": str(len(head))}
    sent = {key.replace("-", "_"): value for key, value in SENT.items()}
    for request, status in ((body, 200), (body[:-1], 400)):
        told, given, _ = server.http(path, request, **headers, **sent)
        assert (told, SENT.items() <= given.items()) == (status, True)
        _, fresh, _ = server.http(path, request, **headers, x_request_id="two words", traceparent="no")
        assert len(fresh["x-request-id"]) == 32
        assert "traceparent" not in fresh


def test_the_client_tells_the_request_id_of_an_error(server: Server):
    """That the server's log has."""
    with (
        DigitsClient(server.address, metadata=[("x-request-id", "order-18")]) as client,
        pytest.raises(InvalidInput) as raised,
    ):
        client.read(b"no picture")
    assert raised.value.request_id == "order-18"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def watched(collector: Collector, start_for_module: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server that logs its calls and sends spans."""
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"anna:{TOKEN} classify,read,control\nbea:{TOKEN}-too classify\n")
    return start_for_module(
        "--access-log",
        f"--otlp-endpoint={collector.url}",
        "--model-control=explicit",
        f"--token-file={tokens}",
        "--allow-plaintext-tokens",
        env={"OTEL_BSP_SCHEDULE_DELAY": "50"},
    )


@pytest.mark.parametrize("name", ["fast path", "handler", "stream", "ModelInfer", "JSON", "REST"])
def test_a_call_is_a_line_and_three_spans(watched: Server, collector: Collector, name: str):
    """The line with identity, model, rows and times; the span has the client's as its parent, and two children."""
    trace_id = uuid4().hex
    sent = [AS_ANNA, ("x-request-id", f"call-{trace_id}"), ("traceparent", f"00-{trace_id}-{SPAN}-01")]
    rows, path = 1, STEM + ("ClassifyStream" if name == "stream" else "Classify")
    if name == "JSON":
        headers = {key.replace("-", "_"): value for key, value in sent}
        body = json.dumps({"model": "mnist-16x16", "pixels": encoded(bytes(784))}).encode()
        _, told, _ = watched.http(CLASSIFY, body, **JSON, **headers)
    elif name == "REST":
        rows, path = 3, INFER + "ModelInfer"
        headers = {key.replace("-", "_"): value for key, value in sent}
        head = json.dumps(
            {
                "inputs": [
                    {
                        "name": "pixels",
                        "datatype": "UINT8",
                        "shape": [3, 784],
                        "parameters": {"binary_data_size": 3 * 784},
                    }
                ],
                "parameters": {"binary_data_output": True},
            }
        ).encode()
        headers["inference_header_content_length"] = str(len(head))
        _, told, _ = watched.http("/v2/models/mnist-16x16/infer", head + bytes(3 * 784), **headers)
    elif name == "ModelInfer":
        rows, path = 2, INFER + "ModelInfer"
        _, told = call(watched, path, infer_request(), *sent)
    elif name == "stream":
        _, told = call(watched, path, pb.ClassifyStreamRequest(request=ONE), *sent)
    else:
        request = pb.ClassifyRequest()
        request.CopyFrom(ONE)
        request.include_activations = name == "handler"
        _, told = call(watched, path, request, *sent)
    line = watched.wait_for("call", 10, request_id=f"call-{trace_id}")
    seen = {"method": path, "code": "OK", "identity": "anna", "model": "mnist-16x16", "version": "2", "rows": rows}
    assert seen.items() <= line.items()
    assert line["level"] == "info"
    assert line["ms"] > 0
    assert min(line["queue_us"], line["inference_us"]) >= 0
    assert line["batch_rows"] == rows
    spans = {span.name: span for span in collector.spans(trace_id, 3)}
    whole, queue, inference = (spans.pop(each) for each in (path.removeprefix("/"), "queue", "inference"))
    assert not spans
    assert whole.parent_span_id.hex() == SPAN
    assert {queue.parent_span_id, inference.parent_span_id} == {whole.span_id}
    assert told["traceparent"] == line["traceparent"] == f"00-{trace_id}-{whole.span_id.hex()}-01"
    attributes = {each.key: each.value for each in (*whole.attributes, *inference.attributes)}
    assert attributes["digits.model"].string_value == "mnist-16x16/2"
    assert attributes["digits.batch_rows"].int_value == rows
    assert queue.end_time_unix_nano == inference.start_time_unix_nano <= inference.end_time_unix_nano
    assert collector.resources[0]["service.name"] == "digits"


def test_the_client_sends_the_context_that_it_finds(watched: Server, collector: Collector):
    """Of the span that is current in the application; a sampled-out one is not recorded by the server either."""
    left_out, recorded = uuid4(), uuid4()
    for each, sampled in ((left_out, False), (recorded, True)):
        context = SpanContext(
            each.int, 7, is_remote=False, trace_flags=TraceFlags(sampled), trace_state=TraceState([("vendor", "2")])
        )
        with (
            trace.use_span(NonRecordingSpan(context)),
            DigitsClient(watched.address, metadata=[AS_ANNA, ("x-request-id", f"from-{each}")]) as client,
        ):
            client.classify(IMAGE, model="mnist-16x16")
        line = watched.wait_for("call", 10, request_id=f"from-{each}", method=STEM + "Classify")
        assert line["traceparent"].startswith(f"00-{each.hex}-")
        assert line["tracestate"] == "vendor=2"
    assert any(span.parent_span_id == bytes(7) + b"\7" for span in collector.spans(recorded.hex, 3))
    with pytest.raises(AssertionError, match="0 spans"):
        collector.spans(left_out.hex, 1, seconds=0)


def test_calls_that_fail_have_a_line_too(watched: Server):
    """With the reason as a status; who has no token has no identity."""
    for metadata, message, code in (
        ((AS_ANNA,), pb.ClassifyRequest(pixels=b"x"), "INVALID_ARGUMENT"),
        ((), ONE, "UNAUTHENTICATED"),
    ):
        before = len(watched.lines)
        call(watched, STEM + "Classify", message, *metadata)
        line = watched.wait_for("call", 10, after=before, code=code)
        assert line.get("identity") == ("anna" if metadata else None)


CHANGES = [
    (
        "RepositoryModelUnload",
        repository_pb.RepositoryModelUnloadRequest(model_name="digits-8x8"),
        "model 'digits-8x8'",
    ),
    ("RepositoryModelLoad", repository_pb.RepositoryModelLoadRequest(model_name="digits-8x8"), "model 'digits-8x8'"),
    ("SystemSharedMemoryRegister", memory_pb.SystemSharedMemoryRegisterRequest(name="mine", key="/k"), "memory 'mine'"),
    ("SystemSharedMemoryUnregister", memory_pb.SystemSharedMemoryUnregisterRequest(name="mine"), "memory 'mine'"),
]


def test_changes_are_always_logged(start_server: StartServer, tmp_path: Path):
    """Without an access log too: who, and what; also those that were refused. Other calls are not."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"anna:{TOKEN} control\nbea:{TOKEN}-too classify\n")
    server = start_server("--model-control=explicit", f"--token-file={tokens}", "--allow-plaintext-tokens")
    for method, message, change in CHANGES:
        before = len(server.lines)
        code, trailers = call(server, INFER + method, message, AS_ANNA)
        line = server.wait_for("call", 10, after=before, method=INFER + method)
        ids = {"request_id": trailers["x-request-id"], "code": code.name}
        assert ({"identity": "anna", "change": change, "level": "info"} | ids).items() <= line.items()
        before = len(server.lines)
        call(server, INFER + method, message, ("authorization", f"Bearer {TOKEN}-too"))
        refused = server.wait_for("call", 10, after=before, method=INFER + method)
        assert (refused["code"], refused["identity"]) == ("PERMISSION_DENIED", "bea")
        if method == "RepositoryModelLoad":  # what the call caused can be told from its line
            assert server.wait_for("model ready", request_id=line["request_id"])["model"] == "digits-8x8"
    call(server, STEM + "Classify", ONE, ("authorization", f"Bearer {TOKEN}-too"))
    assert server.end() == 0
    assert not [line for line in server.lines if line.get("method") == STEM + "Classify"]
