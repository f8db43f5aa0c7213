"""What tests of several workers on one port ask, look at, and do to them."""

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import model_repository_pb2 as repository_pb
from digits_protocol.inference import model_statistics_pb2 as statistics_pb
from digits_protocol.inference import open_inference_pb2 as oip
from digits_protocol.inference import shared_memory_pb2 as memory_pb

from tests.support.server import Server, Stub

NAME, OTHER = "mnist-16x16", "digits-8x8"
PREFIX = f"digits-test-{secrets.token_hex(4)}-"
CREW = ("--workers=2", "--model-control=explicit", "--log-level=debug", f"--shared-memory={PREFIX}")
FOLDER = Path("/dev/shm")
BOTH = (1, 2)


def ask(channel: grpc.Channel, method: str, request, response):
    call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}", response_deserializer=response.FromString)
    return call(request.SerializeToString(), timeout=20)


def load(channel: grpc.Channel, name: str) -> None:
    request = repository_pb.RepositoryModelLoadRequest(model_name=name)
    ask(channel, "RepositoryModelLoad", request, repository_pb.RepositoryModelLoadResponse)


def unload(channel: grpc.Channel, name: str) -> None:
    request = repository_pb.RepositoryModelUnloadRequest(model_name=name)
    ask(channel, "RepositoryModelUnload", request, repository_pb.RepositoryModelUnloadResponse)


def is_ready(channel: grpc.Channel, name: str) -> bool:
    return ask(channel, "ModelReady", oip.ModelReadyRequest(name=name), oip.ModelReadyResponse).ready


def register(channel: grpc.Channel, name: str, path: Path) -> None:
    size = path.stat().st_size
    request = memory_pb.SystemSharedMemoryRegisterRequest(name=name, key=path.name, byte_size=size)
    ask(channel, "SystemSharedMemoryRegister", request, memory_pb.SystemSharedMemoryRegisterResponse)


def unregister(channel: grpc.Channel, name: str = "") -> None:
    request = memory_pb.SystemSharedMemoryUnregisterRequest(name=name)
    ask(channel, "SystemSharedMemoryUnregister", request, memory_pb.SystemSharedMemoryUnregisterResponse)


def regions(channel: grpc.Channel) -> set[str]:
    answer = ask(
        channel,
        "SystemSharedMemoryStatus",
        memory_pb.SystemSharedMemoryStatusRequest(),
        memory_pb.SystemSharedMemoryStatusResponse,
    )
    return set(answer.regions)


def statistics(channel: grpc.Channel, name: str = NAME) -> statistics_pb.ModelStatistics:
    request = statistics_pb.ModelStatisticsRequest(name=name)
    return ask(channel, "ModelStatistics", request, statistics_pb.ModelStatisticsResponse).model_stats[-1]


def classify(channel: grpc.Channel, images: int = 1) -> None:
    answer = Stub(channel).classify(pb.ClassifyRequest(model=NAME, pixels=bytes(784 * images)), timeout=20)
    assert len(answer.predictions) == images


@contextmanager
def channels(server: Server) -> Iterator[dict[int, grpc.Channel]]:
    """A channel to each of two workers, by its number: the debug line of a call says who answered it."""
    with ExitStack() as stack:
        found: dict[int, grpc.Channel] = {}
        while found.keys() != set(BOTH):
            channel = stack.enter_context(server.channel())
            before = len(server.lines)
            with pytest.raises(grpc.RpcError):
                ask(channel, f"Nobody{before}", oip.ServerLiveRequest(), oip.ServerLiveResponse)
            is_ready(channel, NAME)
            line = server.wait_for("call", after=before, method="/inference.GRPCInferenceService/ModelReady")
            found.setdefault(line["worker"], channel)
        yield found


def kill(server: Server, worker: int, number: int = signal.SIGKILL) -> None:
    """Let a worker die, and wait until another has its place."""
    before = len(server.lines)
    os.kill(pids(server)[worker], number)
    server.wait_for("worker serving", after=before, worker=worker)


def pids(server: Server) -> dict[int, int]:
    """Process of each worker by its number, the newest."""
    for number in BOTH:
        server.wait_for("worker serving", worker=number)
    return {line["worker"]: line["pid"] for line in server.lines if line["event"] == "worker serving"}


BREATH_SECONDS = 0.005


class Load(threading.Thread):
    """Calls one after the other until it is told to stop, with a breath between, so that a test gets on."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._over = threading.Event()
        self.answered = 0
        self.errors: list[Exception] = []
        self.start()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._call()
                self.answered += 1
                time.sleep(BREATH_SECONDS)
            except Exception as error:
                self.errors.append(error)

    def stop(self) -> None:
        self._over.set()
        self.join(60)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
