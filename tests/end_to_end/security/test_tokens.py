"""Bearer tokens and the rate of each client: the same rules for gRPC, JSON and pages."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from digits_client import DigitsClient, DigitsError, Overloaded
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.http_calls import ask, detail
from tests.support.processes import environment, run_digits
from tests.support.server import STEM, Server, StartServer, Stub

IMAGE = np.zeros((28, 28), np.uint8)
ANNA, BEN = "anna-anna-anna-anna", "ben-ben-ben-ben-ben"
LIST = "/digits.v1.DigitsService/ListModels"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens") / "tokens"


@pytest.fixture(autouse=True)
def both(file: Path) -> None:
    write(file, anna=ANNA, ben=BEN)


@pytest.fixture(scope="module")
def server(file: Path, start_for_module: StartServer) -> Server:
    write(file, anna=ANNA, ben=BEN)
    return start_for_module(f"--token-file={file}", "--allow-plaintext-tokens")


def write(file: Path, **tokens: str) -> None:
    text = "# who may call\n\n" + "".join(f"{name}: {token}\n" for name, token in tokens.items())
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
        time.sleep(1.2)  # a server looks once a second


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


def code(server: Server, metadata: list[tuple[str, str]]) -> grpc.StatusCode:
    with server.channel() as channel:
        try:
            Stub(channel).classify(pb.ClassifyRequest(pixels=IMAGE.tobytes()), metadata=metadata, timeout=10)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("token", [ANNA, BEN])
def test_whose_token_is_known_is_let_in(server: Server, token: str):
    """Of several at once each; the word Bearer in any letters."""
    with DigitsClient(server.address, metadata=bearer(token)) as client:
        assert client.classify(IMAGE).digit in range(10)
    assert code(server, [("authorization", f"bearer {token}")]) is grpc.StatusCode.OK
    assert ask(server, {}, LIST, authorization=f"Bearer {token}")[0] == 200
    assert server.http("/metrics", authorization=f"Bearer {token}")[0] == 200


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


def test_of_two_tokens_none_counts(server: Server):
    """Else whatever stands in front of the server might look at one, and the server at the other."""
    for first, second in ((ANNA, "x" * 20), ("x" * 20, ANNA), (ANNA, BEN)):
        assert code(server, bearer(first) + bearer(second)) is grpc.StatusCode.UNAUTHENTICATED
        head = f"POST {LIST} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
        two = "".join(f"authorization: Bearer {token}\r\n" for token in (first, second))
        with socket.create_connection(("127.0.0.1", server.http_port), 10) as plain:
            plain.sendall(f"{head}{two}\r\n{{}}".encode())
            assert plain.recv(1000).split()[1] in (b"400", b"401")


@contextmanager
def headers_only(channel: grpc.Channel, path: str, count: int) -> Iterator[list[grpc.Future]]:
    """Calls without a token of which nothing but the headers comes."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait()
        yield from ()

    calls = [channel.stream_unary(path).future(nothing()) for _ in range(count)]
    try:
        yield calls
    finally:
        over.set()
        for call in calls:
            call.cancel()


@pytest.mark.parametrize("method", ["Classify", "Read", "ListModels", "ClassifyStream"])
def test_strangers_take_no_room_from_others(file: Path, start_server: StartServer, method: str):
    """They are refused when their headers come, though there are more of them than calls are allowed at once."""
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens", "--max-concurrent-calls=5")
    with server.channel() as channel, headers_only(channel, STEM + method, 20) as calls:
        codes = {call.exception(timeout=10).code() for call in calls}
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        with headers_only(channel, STEM + method, 1) as [alone]:
            assert alone.exception(timeout=10).code() is grpc.StatusCode.UNAUTHENTICATED
    assert grpc.StatusCode.UNAUTHENTICATED in codes
    assert codes <= {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}


@pytest.mark.parametrize("kind", ["application/json", "application/proto", "application/grpc-web+proto"])
def test_the_bodies_of_strangers_are_not_waited_for(file: Path, start_server: StartServer, kind: str):
    """They are refused when their headers come, and nothing of what they send counts as a request's bytes."""
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens", "--max-pending-mb=1")
    head = f"POST {LIST} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {2**20}\r\n\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", server.http_port), 5)) for _ in range(4)]
        for each in slow:
            each.sendall(head.encode() + b"{" * 500_000)
        for each in slow:
            answer = b""
            while b" 401 " not in answer and b"grpc-status: 16" not in answer:
                piece = each.recv(4096)
                assert piece, answer
                answer += piece
        assert ask(server, {}, LIST, authorization=f"Bearer {ANNA}")[0] == 200
    _, _, text = server.http("/metrics", authorization=f"Bearer {ANNA}")
    counted = [line for line in text.decode().splitlines() if 'ListModels"' in line and "UNAUTHENTICATED" in line]
    assert [float(line.rpartition(" ")[2]) for line in counted] == [4]


def test_what_is_open_to_all_has_room_of_its_own(file: Path, start_server: StartServer):
    """Watches, and probes of which only headers come: those beyond are refused, and nobody else is."""
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens", "--max-concurrent-calls=20")
    empty = health_pb2.HealthCheckRequest().SerializeToString()
    with server.channel() as channel:
        watches = [channel.unary_stream("/grpc.health.v1.Health/Watch")(empty, timeout=60) for _ in range(2)]
        assert [health_pb2.HealthCheckResponse.FromString(next(watch)).status for watch in watches] == [1, 1]
        for _ in range(30):
            with pytest.raises(grpc.RpcError, match="2 such calls are open") as caught:
                next(channel.unary_stream("/grpc.health.v1.Health/Watch")(empty, timeout=60))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with headers_only(channel, "/grpc.health.v1.Health/Check", 30) as calls:
            refused = [call for call in calls[10:] if call.exception(timeout=10)]
            assert {call.code() for call in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        watches[0].cancel()
        again = channel.unary_stream("/grpc.health.v1.Health/Watch")
        assert answered(lambda: next(again(empty, timeout=60)))


def answered(call: Callable[[], object]) -> object:
    """What it gives once there is room for it again."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return call()
        except grpc.RpcError:
            assert time.monotonic() < deadline


def test_watches_leave_room_for_calls_where_all_is_open(start_server: StartServer):
    """They never end, so there may be a tenth as many of them as of calls."""
    server = start_server("--max-concurrent-calls=10")
    with server.channel() as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        first = watch(b"", timeout=60)
        assert next(first)
        for _ in range(30):
            with pytest.raises(grpc.RpcError) as caught:
                next(watch(b"", timeout=10))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert code(server, []) is grpc.StatusCode.OK
        first.cancel()


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


def test_a_message_over_the_limit_is_no_fault_of_the_service(file: Path, start_server: StartServer):
    """The client hears of the limit; the call is not counted as INTERNAL, for which operators are called."""
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens", "--max-message-mb=1")
    with server.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        Stub(channel).classify(pb.ClassifyRequest(pixels=bytes(2**20 + 784)), metadata=bearer(ANNA), timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    counted: set[str] = set()
    while not counted:
        _, _, text = server.http("/metrics", authorization=f"Bearer {ANNA}")
        lines = [line for line in text.decode().splitlines() if line.startswith("digits_requests_total{")]
        counted = {re.search(r'code="(\w+)"', line)[1] for line in lines if "/Classify" in line}
    assert counted <= {"CANCELLED", "RESOURCE_EXHAUSTED"}


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
    assert server.http("/readyz")[0] == 200
    assert server.http("/healthz")[0] == 200


def test_what_is_open_can_be_chosen(file: Path, start_server: StartServer):
    """Health shut, reflection open."""
    server = start_server(
        f"--token-file={file}", "--allow-plaintext-tokens", "--no-open-health", "--open-reflection", wait=False
    )
    server.wait_for("serving")
    server.port = server.wait_for("listening")["port"]
    server.http_port = server.wait_for("listening")["http_port"]
    assert server.http("/readyz")[0] == 401
    assert server.http("/readyz", authorization=f"Bearer {BEN}")[0] == 200
    with server.channel() as channel:
        assert reflected(channel) is grpc.StatusCode.OK


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
        file.write_text("short:x\n")
        time.sleep(1.2)
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        assert "line 1" in server.wait_for("tokens stay as they were", 10)["reason"]
        assert not any("carl-carl" in line for line in server.text)


def test_a_pipe_in_the_place_of_the_file_changes_nothing(file: Path, start_server: StartServer):
    """Reading it would wait for ever, and everyone else with it."""
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens")
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    pipe.replace(file)
    try:
        time.sleep(1.2)
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        assert "no regular file" in server.wait_for("tokens stay as they were", 10)["reason"]
        assert code(server, bearer(ANNA)) is grpc.StatusCode.OK
        other = start_server(f"--token-file={file}", "--allow-plaintext-tokens", wait=False)
        assert other.process.wait(30) == 1
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


@pytest.mark.front("grpcio")  # both read tokens by the same code
@pytest.mark.front("grpcio")  # either reads the file by the same code
@pytest.mark.parametrize(
    ("text", "sentence"),
    [("anna\n", "line 1"), ("# nobody\n", "holds no token"), ("a:tooshort", "line 1"), (None, "cannot be read")],
)
def test_a_server_does_not_start_with_a_file_of_tokens_that_is_wrong(
    start_server: StartServer, tmp_path: Path, text: str | None, sentence: str
):
    """One sentence says why, and shows no token."""
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens", wait=False)
    assert server.process.wait(30) == 1
    server.reader.join(5)
    [line] = server.text
    assert sentence in line
    assert "tooshort" not in line


@pytest.mark.front("grpcio")  # settings are read before there is a front
def test_tokens_do_not_go_over_plaintext_by_mistake(start_server: StartServer, file: Path):
    """A server with tokens and without TLS does not start unless it is told that this is meant."""
    server = start_server(f"--token-file={file}", wait=False)
    assert server.process.wait(30) == 2
    server.reader.join(5)
    assert "needs TLS" in "".join(server.text)


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
    time.sleep(1.2)
    with DigitsClient(server.address, metadata=bearer(ANNA), timeout=20) as client:
        for _ in range(10):  # comes back when it is told to, and loses nothing
            client.classify(IMAGE)
    with DigitsClient(server.address) as client:  # health is open, and so at any rate
        assert {client.health().name for _ in range(30)} == {"SERVING"}
    with DigitsClient(server.address, metadata=bearer(ANNA), timeout=0.05) as client, pytest.raises(Overloaded):
        [client.classify(IMAGE) for _ in range(10)]


def test_messages_of_a_stream_count_like_calls(start_server: StartServer):
    """So that nobody gets round the rate by one long stream; without tokens a client is its address."""
    server = start_server("--client-rate=5")
    request = pb.ClassifyStreamRequest(request=pb.ClassifyRequest(pixels=IMAGE.tobytes()))
    with server.channel() as channel:
        answers = Stub(channel).classify_stream(iter([request] * 20))
        with pytest.raises(grpc.RpcError) as caught:
            list(answers)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
