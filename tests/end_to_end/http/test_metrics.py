"""/metrics of the real server."""

import re
import time

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb

from service.telemetry.metrics import FAMILIES
from tests.support.http_calls import CLASSIFY, METHOD, MNIST, ask, encoded
from tests.support.server import Server, StartServer, Stub


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
    sha256, provider = {key[4]: (key[2], key[1]) for key in metrics["digits_model_info"] if key[0] == MNIST[0]}["2"]
    with server.channel() as channel:
        model = Stub(channel).classify(one, timeout=10).model
    assert (model.sha256, model.execution_provider) == (sha256, provider)


def test_openmetrics_is_given_to_those_who_ask(server: Server):
    """By the Accept header that Prometheus sends."""
    status, headers, text = server.http("/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert (status, text.endswith(b"# EOF\n")) == (200, True)
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")


def test_every_metric_has_its_meaning(server: Server):
    """`/metrics` shows each family with the sentence that the reference has."""
    text = server.http("/metrics")[2].decode()
    shown = dict(re.findall(r"^# HELP (\S+) (.+)$", text, re.M))
    assert shown == {name: family.help for name, family in FAMILIES.items()}
