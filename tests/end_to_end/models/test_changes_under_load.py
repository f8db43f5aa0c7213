"""Models change under full load: no call fails, and every answer comes from a version that was valid then.

Some seconds a mode by default; `make soak` takes thirty.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import model_repository_pb2 as oip

from tests.support.repositories import place, remove
from tests.support.server import STEM, Server, StartServer

NAME = "mnist-16x16"
SECONDS = float(os.environ.get("SOAK_SECONDS", "2"))
CLIENTS = 16


@dataclass
class Truth:
    """Which files may answer, by time: an answer is right if its file was valid at some time during its call."""

    spans: dict[str, list[list[float]]] = field(default_factory=dict)

    def begins(self, sha256: str) -> None:
        self.spans.setdefault(sha256, []).append([time.monotonic(), float("inf")])

    def ends(self, sha256: str) -> None:
        """The server has told that it is gone: no call that begins from now on may find it."""
        self.spans[sha256][-1][1] = time.monotonic()

    def allows(self, sha256: str, began: float, ended: float) -> bool:
        return any(start <= ended and began <= stop for start, stop in self.spans.get(sha256, ()))


@dataclass
class Traffic:
    """What the clients saw."""

    calls: int = 0
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


def sha256(version: Path) -> str:
    return hashlib.sha256((version / "model.onnx").read_bytes()).hexdigest()


async def drive(server: Server, truth: Truth, body: bytes, change: Callable[[], Awaitable[None]]) -> Traffic:
    """`CLIENTS` clients at full speed while `change` does its work."""
    traffic = Traffic()
    over = asyncio.Event()

    async def client() -> None:
        async with grpc.aio.insecure_channel(
            server.address, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            classify = channel.unary_unary(STEM + "Classify", response_deserializer=pb.ClassifyResponse.FromString)
            request = pb.ClassifyRequest(model=NAME, pixels=body).SerializeToString()
            while not over.is_set():
                began = time.monotonic()
                try:
                    answer = await classify(request, timeout=20)
                except grpc.aio.AioRpcError as error:
                    traffic.failed.append(f"{error.code()} {error.details()}")
                    continue
                traffic.calls += 1
                traffic.seen.add(answer.model.sha256)
                if not truth.allows(answer.model.sha256, began, time.monotonic()):
                    traffic.wrong.append(f"version {answer.model.version}")

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    try:
        await change()
    finally:
        over.set()
    await asyncio.gather(*clients)
    return traffic


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param("poll", marks=pytest.mark.front("grpcio")),
        pytest.param("explicit", marks=pytest.mark.front("envoy")),
    ],
)
async def test_no_call_fails_while_versions_come_and_go(
    tmp_path: Path, start_server: StartServer, mnist_test, mode: str
):
    """Added, broken, replaced, removed, and another model unloaded and loaded; then memory is what it was."""
    first = place(tmp_path, NAME, 1)
    place(tmp_path, "digits-8x8", 1)
    server = start_server(f"--model-control={mode}", "--poll-seconds=0.2", models=tmp_path)
    truth = Truth()
    truth.begins(sha256(first))
    pause = SECONDS / 6

    async with grpc.aio.insecure_channel(server.address) as channel:

        def repository(verb: str) -> Callable[[str], Awaitable[bytes]]:
            call = channel.unary_unary(f"/inference.GRPCInferenceService/RepositoryModel{verb}")
            request = getattr(oip, f"RepositoryModel{verb}Request")
            return lambda name: call(request(model_name=name).SerializeToString(), timeout=20)

        async def seen(event: str, **fields: object) -> None:
            """Let the server see what changed on disk."""
            if mode == "explicit":
                await repository("Load")(NAME)
            await asyncio.to_thread(server.wait_for, event, 20, **fields)

        async def change() -> None:
            await asyncio.sleep(pause)
            truth.begins(sha256(place(tmp_path, NAME, 2, source=2)))
            await seen("model ready", version=2)
            await asyncio.sleep(pause)
            place(tmp_path, NAME, 3, source=2, broken=True)
            await seen("model failed", version=3)
            await asyncio.sleep(pause)
            if mode == "explicit":
                await repository("Unload")("digits-8x8")
                await repository("Load")("digits-8x8")
            remove(tmp_path, NAME, 3)
            truth.begins(sha256(place(tmp_path, NAME, 4, source=1)))
            await seen("model ready", version=4)
            await asyncio.sleep(pause)
            for version in (2, 4):
                file = sha256(tmp_path / NAME / str(version))
                remove(tmp_path, NAME, version)
                await seen("versions removed", versions=[version])
                truth.ends(file)
                await asyncio.sleep(pause)

        body = mnist_test[0][:32].tobytes()
        await drive(server, truth, body, lambda: asyncio.sleep(1))  # warm: memory reaches its level
        before = server.resident_mib()
        traffic = await drive(server, truth, body, change)
        for _ in range(60):  # free memory is returned to the system every ten seconds
            after = server.resident_mib()
            if after < before + 16:
                break
            await asyncio.sleep(0.5)

    assert not traffic.failed, traffic.failed[:5]
    assert not traffic.wrong, traffic.wrong[:5]
    assert len(traffic.seen) == 3, "three good files were served in turn"
    assert traffic.calls > 100
    failures = [line for line in server.lines if line["event"] == "model failed"]
    assert [line["version"] for line in failures] == [3]
    assert after < before + 16, f"resident memory went from {before:.0f} to {after:.0f} MiB"
