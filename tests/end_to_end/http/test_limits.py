"""The HTTP side of the real server: its limits, its start and its end."""

import gzip
import json
import signal
import socket
import threading
import time
from pathlib import Path

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.rpc.error_details_pb2 import RetryInfo

from tests.support.http_calls import CLASSIFY, INFER, JSON, METHOD, MNIST, ask, detail, encoded, infer, infer_binary
from tests.support.repositories import place
from tests.support.server import MODELS, Server, StartServer, Stub

LARGE = ("mnist-large", "1")
# A tenth of a second of work, and a short answer.
SLOW = pb.ClassifyRequest(model=LARGE[0], pixels=bytes(784 * 1000))


def test_a_message_over_the_limit_is_refused(start_server: StartServer):
    """As sent, and as it would be after decompression, with no invitation to try again."""
    server = start_server("--max-message-mb=1")
    text = json.dumps({"pixels": encoded(bytes(2**20))}).encode()
    for body, headers in ((text, {}), (gzip.compress(text), {"content_encoding": "gzip"})):
        status, told, answer = server.http(CLASSIFY, body, **JSON, **headers)
        assert (status, json.loads(answer)["code"]) == (429, "resource_exhausted")
        assert "RetryInfo" not in str(json.loads(answer).get("details"))
        assert "retry-after" not in told
    assert server.metrics()["digits_requests_total"]["RESOURCE_EXHAUSTED", METHOD, "", ""] == 2
    pixels = bytes(2**20 + 784)
    for body, headers in ((pixels, {}), (gzip.compress(pixels), {"content_encoding": "gzip"})):
        status, told, answer = infer(server, body, **headers)
        assert (status, told["content-type"]) == (413, "application/json")
        assert f"more than {2**20} bytes" in json.loads(answer)["error"]
        assert "retry-after" not in told
    assert server.metrics()["digits_requests_total"]["RESOURCE_EXHAUSTED", INFER, "", ""] == 2


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
    pixels = bytes(784 * 900)
    head = f"POST /v2/models/{MNIST[0]}/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(pixels)}\r\n"
    for _ in range(20):  # the same over REST, which shares the limit
        with socket.create_connection(("127.0.0.1", server.http_port)) as slow:
            slow.sendall(head.encode() + b"inference-header-content-length: 0\r\n\r\n" + pixels[:-1])
            time.sleep(0.1)
            status, headers, answer = infer(server, pixels)
            if status == 429:
                break
    assert (status, headers["retry-after"]) == (429, "1")
    assert "no room for" in json.loads(answer)["error"]
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
        status, _, answer = infer(server, bytes(784))
        assert (status, json.loads(answer)) == (429, {"error": "there are as many calls at once as are allowed"})
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
        until = time.monotonic() + 60
        while not refused and time.monotonic() < until:
            status, headers, answer = server.http(CLASSIFY, body, **JSON)
            assert status in (200, 429)
            if status == 429:
                refused.append((headers, answer))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert refused
    headers, answer = refused[0]
    assert int(headers["retry-after"]) >= 1
    assert int(headers["trailer-grpc-retry-pushback-ms"]) >= 1
    assert detail(json.loads(answer), RetryInfo).retry_delay.ToMilliseconds() >= 1
    counted = server.metrics()["digits_refused_total"][MNIST]
    assert counted == len(refused)
    refused.clear()
    pixels, size = infer_binary(bytes(784 * 900), 900)

    def infer_them() -> None:
        until = time.monotonic() + 60
        while not refused and time.monotonic() < until:
            path, length = f"/v2/models/{MNIST[0]}/infer", str(size)
            status, headers, answer = server.http(path, pixels, inference_header_content_length=length)
            assert status in (200, 429)
            if status == 429:
                refused.append((headers, answer))

    threads = [threading.Thread(target=infer_them) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    headers, answer = refused[0]
    assert int(headers["retry-after"]) >= 1
    assert "no room" in json.loads(answer)["error"]
    metrics = server.metrics()
    assert metrics["digits_refused_total"][MNIST] == counted + len(refused)
    assert metrics["digits_requests_total"]["RESOURCE_EXHAUSTED", METHOD, *MNIST] == counted
    assert metrics["digits_requests_total"]["RESOURCE_EXHAUSTED", INFER, *MNIST] == len(refused)


@pytest.fixture(scope="module")
def patient(start_for_module: StartServer) -> Server:
    """A server whose queue holds all that comes, for the next two tests, of which neither leaves a call behind."""
    return start_for_module("--inline-us=0", "--max-queue-rows=1000000", models=MODELS)


def fill_queue(channel: grpc.Channel, server: Server) -> list[grpc.Future]:
    """Calls, of which ten at least are in the server and not yet answered: a second's work."""
    calls = [Stub(channel).classify.future(SLOW, timeout=120) for _ in range(30)]
    deadline = time.monotonic() + 60
    while server.metrics()["digits_requests_in_flight"].get((METHOD,), 0) < 10:
        assert time.monotonic() < deadline, "the calls do not come in"
    return calls


def test_a_deadline_that_passes_ends_the_call(patient: Server):
    """By `connect-timeout-ms`: 504, the work dropped from the queue and counted there."""
    server = patient
    with server.channel() as channel:
        calls = fill_queue(channel, server)
        message = {"model": LARGE[0], "pixels": encoded(bytes(784))}
        status, _, answer = ask(server, message, connect_timeout_ms="100")
        assert (status, answer["code"]) == (504, "deadline_exceeded")
        for call in calls:
            call.result()
    metrics = server.metrics()
    assert metrics["digits_requests_total"]["DEADLINE_EXCEEDED", METHOD, *LARGE] == 1
    assert metrics["digits_deadline_dropped_total"][LARGE] == 1


def test_a_client_that_hangs_up_is_not_waited_for(patient: Server):
    """Its call is cancelled and counted so."""
    server = patient
    with server.channel() as channel:
        calls = fill_queue(channel, server)
        body = json.dumps({"model": LARGE[0], "pixels": encoded(bytes(784))}).encode()
        with socket.create_connection(("127.0.0.1", server.http_port)) as hasty:
            head = f"POST {CLASSIFY} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            hasty.sendall(head.encode() + body)
            deadline = time.monotonic() + 10
            while server.metrics()["digits_requests_in_flight"][METHOD,] <= 0 and time.monotonic() < deadline:
                pass
        pixels, size = infer_binary(bytes(784), 1)
        head = f"POST /v2/models/{LARGE[0]}/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(pixels)}\r\n"
        with socket.create_connection(("127.0.0.1", server.http_port)) as hasty:
            hasty.sendall(f"{head}inference-header-content-length: {size}\r\n\r\n".encode() + pixels)
            deadline = time.monotonic() + 10
            while server.metrics()["digits_requests_in_flight"][INFER,] <= 0 and time.monotonic() < deadline:
                pass
        for call in calls:
            call.result()
    counted = server.metrics()["digits_requests_total"]
    assert counted["CANCELLED", METHOD, *LARGE] == counted["CANCELLED", INFER, *LARGE] == 1


def test_probes_follow_health(server: Server, start_server: StartServer, tmp_path: Path):
    """Ready only while a model is; live as long as it answers."""
    assert server.http("/healthz")[::2] == (200, b"live\n")
    assert server.http("/readyz")[::2] == (200, b"ready\n")
    assert server.http("/readyz", method="HEAD")[::2] == (200, b"")
    place(tmp_path, "digits-8x8", 1, broken=True)
    waiting = start_server("--model-control=poll", models=tmp_path)
    assert waiting.http("/healthz")[::2] == (200, b"live\n")
    assert waiting.http("/readyz")[::2] == (503, b"no model is ready\n")
    assert waiting.metrics()["digits_model_load_failures_total"]["digits-8x8", "1"] == 1
    assert waiting.metrics()["digits_model_ready"]["digits-8x8", "1"] == 0


@pytest.mark.front("grpcio")  # Envoy listens once the models are loaded
def test_while_models_load_the_server_lives_but_is_not_ready(start_server: StartServer):
    """It listens before it loads, so that a probe gets an answer."""
    server = start_server(models=MODELS, wait=False)
    server.http_port = server.wait_for("listening")["http_port"]
    seen = set()
    while "serving" not in {line["event"] for line in server.lines}:
        seen.add(server.http("/readyz")[::2])
    assert (503, b"the models are being loaded\n") in seen


@pytest.mark.front("grpcio")  # Envoy closes both ports at once
def test_sigterm_turns_readiness_off_and_lets_open_requests_finish(start_server: StartServer, mnist_test):
    """A request that arrives slowly is answered though the server drains; one that comes new is UNAVAILABLE."""
    server = start_server("--grace-seconds=20", "--inline-us=0", "--max-queue-rows=1000000", models=MODELS)
    pixels = mnist_test[0][:1000]
    body = json.dumps({"model": LARGE[0], "pixels": encoded(pixels.tobytes())}).encode()
    head = f"POST {CLASSIFY} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with server.channel() as channel, socket.create_connection(("127.0.0.1", server.http_port)) as open_:
        calls = fill_queue(channel, server)
        open_.sendall(head + body)
        time.sleep(0.5)  # it has come, and waits behind the others
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


@pytest.mark.front("grpcio")  # for Envoy, the test of the connection limit covers it
def test_without_a_port_there_is_no_http(start_server: StartServer):
    """`--http-port=-1` serves gRPC alone."""
    server = start_server("--http-port=-1")
    assert server.http_port is None
    with server.channel() as channel:
        assert len(Stub(channel).classify(pb.ClassifyRequest(pixels=bytes(784)), timeout=10).predictions) == 1
    assert server.end() == 0


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
