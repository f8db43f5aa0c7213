"""The rate of each client."""

import json
import time
from pathlib import Path

import grpc
import pytest
from digits_client import DigitsClient, Overloaded
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import RetryInfo

from tests.end_to_end.security.tokens import ANNA, BEN, IMAGE, LIST, bearer
from tests.support.http_calls import ask, detail, infer_binary
from tests.support.server import StartServer, Stub


def test_a_client_that_calls_too_often_is_refused_alone(file: Path, start_server: StartServer):
    """RESOURCE_EXHAUSTED with the time after which it goes on; others are served meanwhile."""
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens", "--client-rate=5")
    with server.channel() as channel:
        errors = []
        for _ in range(12):
            try:
                Stub(channel).classify(pb.ClassifyRequest(pixels=IMAGE.tobytes()), metadata=bearer(ANNA))
            except grpc.RpcError as error:
                errors.append(error)
        assert len(errors) >= 5
        assert {error.code() for error in errors} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert all("grpc-retry-pushback-ms" in dict(error.trailing_metadata()) for error in errors)
        Stub(channel).classify(pb.ClassifyRequest(pixels=IMAGE.tobytes()), metadata=bearer(BEN))
    status, told, answer = ask(server, {}, LIST, authorization=f"Bearer {ANNA}")
    assert (status, told["retry-after"]) == (429, "1")
    assert "retryDelay" in MessageToDict(detail(answer, RetryInfo))
    pixels, size = infer_binary(IMAGE.tobytes(), 1)
    for body, length in ((pixels, size), (IMAGE.tobytes(), 0)):
        headers = {"inference_header_content_length": str(length), "authorization": f"Bearer {ANNA}"}
        for _ in range(20):
            status, told, answer = server.http("/v2/models/mnist-16x16/infer", body, **headers)
            if status != 200:
                break
        assert (status, told["retry-after"]) == (429, "1")
        assert "5 calls a second" in json.loads(answer)["error"]
    time.sleep(1.2)
    with DigitsClient(server.address, metadata=bearer(ANNA), timeout=20) as client:
        for _ in range(10):  # it waits as long as the server says, and no call fails
            client.classify(IMAGE)
    with DigitsClient(server.address) as client:  # health is open, and so at any rate
        assert {client.health().name for _ in range(30)} == {"SERVING"}
    with DigitsClient(server.address, metadata=bearer(ANNA), timeout=0.05) as client, pytest.raises(Overloaded):
        [client.classify(IMAGE) for _ in range(10)]


def test_messages_of_a_stream_count_like_calls(start_server: StartServer):
    """Each message of a stream counts against the rate. Without tokens a client is its address."""
    server = start_server("--client-rate=5")
    request = pb.ClassifyStreamRequest(request=pb.ClassifyRequest(pixels=IMAGE.tobytes()))
    with server.channel() as channel:
        answers = Stub(channel).classify_stream(iter([request] * 20))
        with pytest.raises(grpc.RpcError) as caught:
            list(answers)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
