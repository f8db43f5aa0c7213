"""What the server bears: refused megabytes, greedy streams, readers of its log that go, threads that decode on."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from PIL import Image

from tests.support.processes import DIGITS, environment, free_port
from tests.support.server import MODELS, Server, StartServer, Stub, small_models

MIB = 2**20
CALLS = 800
"""Each is a line of some hundred bytes in the log, and a pipe holds 64 KiB."""


def test_refused_megabytes_do_not_stay_in_memory(start_server: StartServer):
    """Twelve requests of 15 MiB of each kind, each refused, leave less behind than five of them would."""
    server = start_server()
    requests = {
        "too many rows": pb.ClassifyRequest(pixels=bytes(784 * 20_000)).SerializeToString(),
        "unknown model": pb.ClassifyRequest(model="nobody", pixels=bytes(15 * MIB)).SerializeToString(),
        "no image": pb.ClassifyRequest(encoded_images=[bytes(15 * MIB)]).SerializeToString(),
        "no message": b"\xff" * (15 * MIB),
    }
    with server.channel() as channel:
        call = channel.unary_unary("/digits.v1.DigitsService/Classify")
        for kind, body in requests.items():
            for _ in range(3):
                with pytest.raises(grpc.RpcError):
                    call(body, timeout=20)
            before = server.resident_mib()
            for _ in range(12):
                with pytest.raises(grpc.RpcError):
                    call(body, timeout=20)
            assert server.resident_mib() < before + 75, kind


def test_a_greedy_stream_leaves_room_for_single_calls(start_server: StartServer, mnist_test):
    """Full messages as fast as they go, answers with activations; nobody else is refused."""
    server = start_server()
    big = pb.ClassifyRequest(pixels=mnist_test[0][:1024].tobytes(), include_activations=True)
    over = threading.Event()
    before = server.resident_mib()

    def flood() -> Iterator[pb.ClassifyStreamRequest]:
        while not over.is_set():
            yield pb.ClassifyStreamRequest(request=big)

    with server.channel() as streaming, server.channel() as channel:
        streams = [Stub(streaming).classify_stream(flood()) for _ in range(3)]
        readers = [threading.Thread(target=lambda s=s: [None for _ in s]) for s in streams[:2]]  # the third is not read
        for reader in readers:
            reader.start()
        request = pb.ClassifyRequest(pixels=mnist_test[0][:100].tobytes())
        for _ in range(6):
            assert len(Stub(channel).classify(request, timeout=20).predictions) == 100
        # An answer takes some 60 MB while it is written, and each stream may have two on the way.
        assert server.resident_mib() < before + 600
        over.set()
        streams[2].cancel()
        for reader in readers:
            reader.join(60)


def test_a_name_of_twenty_thousand_letters_is_still_not_found(server: Server):
    """Errors travel in headers, and headers have a limit."""
    with server.channel() as channel, pytest.raises(grpc.RpcError) as raised:
        Stub(channel).classify(pb.ClassifyRequest(model="x" * 20_000, pixels=bytes(784)), timeout=10)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(raised.value.details()) < 200


@pytest.mark.parametrize("how", ["closed", "full", "reader gone", "reader asleep"])
def test_nobody_reads_the_log_and_the_server_serves_and_drains_all_the_same(how: str, tmp_path: Path):
    """Standard error closed, on a full disk, a pipe whose reader left, or one that nobody empties."""
    port = free_port()
    command = [
        str(DIGITS),
        "serve",
        f"--port={port}",
        "--http-port=0",
        f"--models={small_models()}",
        "--log-level=debug",
        "--log-format=json",
    ]
    if how == "closed":
        process = subprocess.Popen(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], env=environment())
    elif how == "full":
        with open("/dev/full", "w") as full:
            process = subprocess.Popen(command, stderr=full, env=environment())
    else:
        reading, writing = os.pipe()
        process = subprocess.Popen(command, stderr=writing, env=environment())
        os.close(writing)
        if how == "reader gone":
            os.close(reading)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(30)
            call = channel.unary_unary("/digits.v1.DigitsService/Classify")
            body = pb.ClassifyRequest(pixels=bytes(784)).SerializeToString()
            deadline = time.monotonic() + 30
            answered = 0
            while answered < CALLS and time.monotonic() < deadline:
                try:
                    call(body, timeout=10)
                    answered += 1
                except grpc.RpcError as error:
                    if answered:  # before the models are loaded it may be UNAVAILABLE
                        raise AssertionError(str(error)) from error
            assert answered == CALLS
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        if how == "reader asleep":
            os.close(reading)


def test_the_end_does_not_wait_for_images_that_are_being_decoded(start_server: StartServer, tmp_path: Path):
    """Decoding cannot be interrupted, but nobody waits for it once the grace time is over."""
    server = start_server("--grace-seconds=0.2", "--max-image-megapixels=100", "--max-message-mb=64")
    noise = np.random.default_rng(0).integers(0, 255, 5000, np.uint8)
    path = tmp_path / "large.png"  # a small file, so that sending it takes no time
    Image.fromarray(np.tile(noise, (5000, 1))).save(path, compress_level=1)
    request = pb.ClassifyRequest(encoded_images=[path.read_bytes()] * 40)
    with server.channel() as channel:
        calls = [Stub(channel).classify.future(request) for _ in range(5)]
        time.sleep(0.5)
        began = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - began < 10  # all of them would take two cores fourteen
        assert not [line for line in server.lines if line["event"] == "worker killed, it did not end"]
        for call in calls:
            call.cancel()


@pytest.mark.front("grpcio")  # either reads networks by the same code
def test_get_network_of_a_file_that_was_replaced_is_unavailable(start_server: StartServer, tmp_path: Path):
    """What is on disk is no longer what serves; classifying goes on."""
    import shutil

    shutil.copytree(MODELS / "digits-8x8", tmp_path / "digits-8x8")
    server = start_server(models=tmp_path)
    path = tmp_path / "digits-8x8" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with server.channel() as channel:
        stub = Stub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.get_network(pb.GetNetworkRequest(layer=1), timeout=10)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert len(stub.classify(pb.ClassifyRequest(pixels=bytes(64)), timeout=10).predictions) == 1


def test_more_calls_than_allowed_are_refused_and_never_cancelled(start_server: StartServer):
    """Six times as many at once over several connections: each is answered or told that there are too many."""
    server = start_server("--max-concurrent-calls=200", "--max-queue-rows=100000")
    with ExitStack() as stack:
        stubs = [Stub(stack.enter_context(server.channel())) for _ in range(4)]
        request = pb.ClassifyRequest(pixels=bytes(784))
        calls = [stub.classify.future(request, timeout=60) for _ in range(300) for stub in stubs]
        codes = Counter(call.code() for call in calls)
    assert codes.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes[grpc.StatusCode.OK] > 200
