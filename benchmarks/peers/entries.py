"""What is measured: ours with one worker and with several, the bare echo, and the other model servers."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from artifact.store import VersionFolder
from benchmarks.load.requests import LARGE, MODEL, LoadRequest, infer, infer_scaled
from benchmarks.peers.float32 import write_default_float32
from benchmarks.peers.install import ENVIRONMENTS, HERE, environment
from benchmarks.servers import digits_server
from benchmarks.servers.digits_server import CACHE
from benchmarks.servers.process import ServerCommand


@dataclass(frozen=True)
class Entry:
    """One row of a table."""

    name: str
    prepare: Callable[[Path], ServerCommand]
    """Takes an empty folder for its own use. Raises `InstallError`."""
    request: Callable[[int], LoadRequest] = infer


@dataclass(frozen=True)
class Peer:
    """Another server. `folder` holds its requirements, its configuration and `start.sh`."""

    folder: str
    environment: dict[str, str] = field(default_factory=dict)
    model: Callable[[], Path] = lambda: MODEL.onnx

    def command(self, name: str, scratch: Path) -> ServerCommand:
        """Install it; returns its command. Raises `InstallError`."""
        environment(self.folder)
        given = {"VENV": str(ENVIRONMENTS / self.folder), "MODEL": str(self.model()), "SCRATCH": str(scratch)}
        return ServerCommand(name, ("bash", str(HERE / self.folder / "start.sh")), given | self.environment)


def _peer(name: str, peer: Peer, request: Callable[[int], LoadRequest] = infer) -> Entry:
    return Entry(name, partial(peer.command, name), request)


TRITON = "Triton 2.51 (nvidia-pytriton's binary, Python backend, onnxruntime), uint8"
MLSERVER = "MLServer 1.7.1 (custom runtime, onnxruntime), {}"
_UINT8 = {"DATATYPE": "TYPE_UINT8", "SCORES": "scores"}
_FLOAT32 = {"DATATYPE": "TYPE_FP32", "SCORES": "probabilities"}


def _float32() -> Path:
    return write_default_float32(CACHE / "float32" / "model.onnx")


PEERS = (
    _peer(TRITON, Peer("triton", _UINT8)),
    _peer(TRITON.replace("uint8", "skl2onnx's float32"), Peer("triton", _FLOAT32, _float32), infer_scaled),
    _peer("KServe 0.21 (Python SDK, onnxruntime)", Peer("kserve")),
    _peer(MLSERVER.format("adaptive batching"), Peer("mlserver", {"BATCH_SIZE": "64", "BATCH_SECONDS": "0.005"})),
    _peer(MLSERVER.format("no batching"), Peer("mlserver", {"BATCH_SIZE": "0", "BATCH_SECONDS": "0"})),
)


def ours(model: VersionFolder = MODEL) -> Iterator[Entry]:
    """On each front with one worker, with two, and with one for each core (`--workers auto`)."""
    for front in digits_server.fronts():
        for workers in sorted({1, 2, len(os.sched_getaffinity(0))}):
            command = digits_server.digits(front, model, workers)
            yield Entry(command.name, partial(_given, command), partial(infer, model=model))


def echoes(sizes: list[int]) -> Iterator[Entry]:
    """The bare echo on each front, which knows the answers to calls of these sizes."""
    recorded = digits_server.record([infer(rows) for rows in sizes], CACHE / "peers-answers.json")
    for front in digits_server.fronts():
        command = digits_server.echo(front, recorded)
        yield Entry(command.name, partial(_given, command))


def triton_large() -> Entry:
    """Triton with the large model."""
    named = {"NAME": LARGE.name}
    return _peer(TRITON, Peer("triton", _UINT8 | named, lambda: LARGE.onnx), partial(infer, model=LARGE))


def _given(command: ServerCommand, scratch: Path) -> ServerCommand:
    return command
