"""Bearer tokens and the rate of each client: the same rules for gRPC, JSON and pages."""

import json
import os
import re
import socket
import time
from pathlib import Path

import grpc
import pytest
from digits_client import DigitsClient, DigitsError
from digits_protocol.digits.v1 import digits_pb2 as pb
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.end_to_end.security.tokens import ANNA, BEN, IMAGE, LIST, bearer, code, write
from tests.support.http_calls import ask, infer, infer_binary
from tests.support.processes import environment, run_digits
from tests.support.server import Server, StartServer, Stub


@pytest.fixture(autouse=True)
def both(file: Path) -> None:
    write(file, anna=ANNA, ben=BEN)


@pytest.fixture(scope="module")
def server(file: Path, start_for_module: StartServer) -> Server:
    return start_for_module(f"--token-file={file}", "--allow-plaintext-tokens")


@pytest.mark.parametrize("token", [ANNA, BEN])
def test_whose_token_is_known_is_let_in(server: Server, token: str):
    """Of several at once each; the word Bearer in any letters."""
    with DigitsClient(server.address, metadata=bearer(token)) as client:
        assert client.classify(IMAGE).digit in range(10)
    assert code(server, [("authorization", f"bearer {token}")]) is grpc.StatusCode.OK
    assert ask(server, {}, LIST, authorization=f"Bearer {token}")[0] == 200
    assert server.http("/metrics", authorization=f"Bearer {token}")[0] == 200
    for path in ("/v2", "/v2/models/mnist-16x16", "/v2/models/mnist-16x16/ready", "/v2/models/stats"):
        assert server.http(path, authorization=f"Bearer {token}")[0] == 200
    for status, _, _ in inferred(server, authorization=f"Bearer {token}"):
        assert status == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", f"Bearer {ANNA}x", f"Bearer {ANNA[:-1]}", f"Basic {ANNA}", ANNA, "Bearer anna"]
)
def test_all_others_are_not(server: Server, header: str):
    """By any protocol; the answer repeats nothing of what they sent, and they are counted."""
    metadata = [("authorization", header)] if header else []
    assert code(server, metadata) is grpc.StatusCode.UNAUTHENTICATED
    headers = {"authorization": header} if header else {}
    status, told, answer = ask(server, {}, LIST, **headers)
    assert (status, answer["code"]) == (401, "unauthenticated")
    assert ANNA[:-1] not in str(answer) + str(told)
    status, told, _ = server.http("/metrics", **headers)
    assert (status, told["www-authenticate"]) == (401, "Bearer")
    paths = ("/v2", "/v2/models/mnist-16x16", "/v2/models/mnist-16x16/ready", "/v2/models/stats")
    for status, told, body in (*inferred(server, **headers), *(server.http(path, **headers) for path in paths)):
        assert (status, told["www-authenticate"]) == (401, "Bearer")
        assert "authorization" in json.loads(body)["error"]
        assert ANNA[:-1] not in body.decode() + str(told)
    load = server.http("/v2/repository/models/mnist-16x16/load", b"", **headers)
    assert (load[0], server.http("/v2/repository/index", b"", **headers)[0]) == (401, 401)


def inferred(server: Server, **headers: str) -> list[tuple[int, dict, bytes]]:
    """ModelInfer over REST, by its fast path and without."""
    body, size = infer_binary(IMAGE.tobytes(), 1)
    path = "/v2/models/mnist-16x16/infer"
    fast = server.http(path, body, inference_header_content_length=str(size), **headers)
    return [fast, infer(server, IMAGE.tobytes(), **headers)]


def test_of_two_tokens_none_counts(server: Server):
    """Else whatever stands in front of the server might look at one, and the server at the other."""
    for first, second in ((ANNA, "x" * 20), ("x" * 20, ANNA), (ANNA, BEN)):
        assert code(server, bearer(first) + bearer(second)) is grpc.StatusCode.UNAUTHENTICATED
        head = f"POST {LIST} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
        two = "".join(f"authorization: Bearer {token}\r\n" for token in (first, second))
        for path in (LIST, "/v2/models/mnist-16x16/infer"):
            with socket.create_connection(("127.0.0.1", server.http_port), 10) as plain:
                plain.sendall(f"{head.replace(LIST, path)}{two}inference-header-content-length: 2\r\n\r\n{{}}".encode())
                assert plain.recv(1000).split()[1] in (b"400", b"401")


def test_a_stream_needs_a_token_as_well(server: Server):
    """Whatever it would have said."""
    with server.channel() as channel:
        request = pb.ClassifyStreamRequest(request=pb.ClassifyRequest(pixels=IMAGE.tobytes()))
        assert next(Stub(channel).classify_stream(iter([request]), metadata=bearer(ANNA))).HasField("response")
        with pytest.raises(grpc.RpcError) as caught:
            next(Stub(channel).classify_stream(iter([request])))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_refused_calls_are_counted(server: Server):
    """By their status."""
    assert code(server, []) is grpc.StatusCode.UNAUTHENTICATED
    _, _, text = server.http("/metrics", authorization=f"Bearer {ANNA}")
    [line] = [
        line
        for line in text.decode().splitlines()
        if line.startswith("digits_requests_total") and "UNAUTHENTICATED" in line and 'Service/Classify"' in line
    ]
    assert float(line.rpartition(" ")[2]) >= 1


def test_health_is_open_and_reflection_is_not(server: Server):
    """Unless told otherwise."""
    with server.channel() as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        assert check(health_pb2.HealthCheckRequest(), timeout=5).status == health_pb2.HealthCheckResponse.SERVING
        assert reflected(channel) is grpc.StatusCode.UNAUTHENTICATED
    for path in ("/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"):
        assert server.http(path)[0] == 200


@pytest.fixture(scope="module")
def shut(file: Path, start_for_module: StartServer) -> Server:
    """A server that has nothing open but reflection, and takes little."""
    flags = ("--no-open-health", "--open-reflection", "--max-message-mb=1")
    return start_for_module(f"--token-file={file}", "--allow-plaintext-tokens", *flags)


def test_what_is_open_can_be_chosen(shut: Server):
    """Health shut, reflection open."""
    server = shut
    for path in ("/readyz", "/v2/health/ready"):
        assert server.http(path)[0] == 401
        assert server.http(path, authorization=f"Bearer {BEN}")[0] == 200
    with server.channel() as channel:
        assert reflected(channel) is grpc.StatusCode.OK


def test_a_message_over_the_limit_is_no_fault_of_the_service(shut: Server):
    """The client hears of the limit; the call is not counted as INTERNAL, for which operators are called."""
    server = shut
    with server.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        Stub(channel).classify(pb.ClassifyRequest(pixels=bytes(2**20 + 784)), metadata=bearer(ANNA), timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    counted: set[str] = set()
    while not counted:
        _, _, text = server.http("/metrics", authorization=f"Bearer {ANNA}")
        lines = [line for line in text.decode().splitlines() if line.startswith("digits_requests_total{")]
        counted = {re.search(r'code="(\w+)"', line)[1] for line in lines if "/Classify" in line}
    assert counted <= {"CANCELLED", "RESOURCE_EXHAUSTED"}


def reflected(channel: grpc.Channel) -> grpc.StatusCode:
    info = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    try:
        next(info(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5))
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_tokens_are_rotated_without_a_restart(server: Server, file: Path):
    """A new one is let in and a revoked one is not, within seconds; a broken file changes nothing."""
    with DigitsClient(server.address, metadata=bearer(BEN)) as client:
        client.classify(IMAGE)
        write(file, anna=ANNA, carl="carl-carl-carl-carl")
        assert code(server, bearer("carl-carl-carl-carl")) is grpc.StatusCode.OK
        with pytest.raises(DigitsError, match="authorization"):
            client.classify(IMAGE)
        file.write_text("# nobody any more\n")
        time.sleep(1.2)
        assert code(server, bearer(ANNA)) is grpc.StatusCode.UNAUTHENTICATED
        write(file, anna=ANNA)
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        before = len(server.lines)
        file.write_text("short:x\n")
        time.sleep(1.2)
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        assert "line 1" in server.wait_for("tokens stay as they were", 10, after=before)["reason"]
        assert not any("carl-carl" in line for line in server.text)


def test_a_pipe_in_the_place_of_the_file_changes_nothing(server: Server, file: Path):
    """Reading it would wait for ever, and everyone else with it."""
    before = len(server.lines)
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    pipe.replace(file)
    try:
        time.sleep(1.2)
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        assert "no regular file" in server.wait_for("tokens stay as they were", 10, after=before)["reason"]
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
    finally:
        file.unlink()


@pytest.mark.front("grpcio")  # it is about the commands
def test_the_commands_send_a_token(server: Server, tmp_path: Path):
    """From a file, so that no list of processes shows it."""
    mine = tmp_path / "token"
    mine.write_text(f"{ANNA}\n")
    command = ["models", f"--server={server.address}"]
    ran = run_digits(*command, f"--token-file={mine}", env=environment())
    assert ran.returncode == 0
    ran = run_digits(*command, env=environment())
    assert ran.returncode == 1
    assert "authorization" in ran.stderr


@pytest.mark.front("grpcio")  # either reads the file by the same code
def test_a_server_does_not_start_with_a_file_of_tokens_that_is_wrong(start_server: StartServer, tmp_path: Path):
    """One sentence says why; what may be wrong is in `tests/unit/service/process/`."""
    file = tmp_path / "tokens"
    file.write_text("# nobody\n")
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens", wait=False)
    assert server.process.wait(30) == 1
    server.reader.join(5)
    [line] = server.text
    assert "holds no token" in line
