"""The other model servers: command, model and requests of each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load.requests import MODEL, LoadRequest, infer, infer_scaled
from benchmarks.peers.float32 import write_default_float32
from benchmarks.peers.install import ENVIRONMENTS, HERE, environment
from benchmarks.servers.digits_server import CACHE
from benchmarks.servers.process import ServerCommand


@dataclass(frozen=True)
class Peer:
    """One row of the table. `folder` holds its requirements, its configuration and `start.sh`."""

    name: str
    folder: str
    environment: dict[str, str] = field(default_factory=dict)
    request: Callable[[int], LoadRequest] = infer
    float32: bool = False
    """Whether it serves skl2onnx's own float32 model instead of digits_server."""

    def prepare(self, scratch: Path) -> ServerCommand:
        """Install it; returns its command. Raises `InstallError`."""
        model = write_default_float32(CACHE / "float32" / "model.onnx") if self.float32 else MODEL.onnx
        environment(self.folder)
        return ServerCommand(
            self.name,
            ("bash", str(HERE / self.folder / "start.sh")),
            {"VENV": str(ENVIRONMENTS / self.folder), "MODEL": str(model), "SCRATCH": str(scratch), **self.environment},
        )


TRITON = "Triton 2.51 (nvidia-pytriton's binary, Python backend, onnxruntime), uint8"
TRITON_FLOAT32 = TRITON.replace("uint8", "skl2onnx's float32")
KSERVE = "KServe 0.21 (Python SDK, onnxruntime)"
MLSERVER = "MLServer 1.7.1 (custom runtime, onnxruntime), {}"

PEERS = (
    Peer(TRITON, "triton", {"DATATYPE": "TYPE_UINT8", "SCORES": "scores"}),
    Peer(TRITON_FLOAT32, "triton", {"DATATYPE": "TYPE_FP32", "SCORES": "probabilities"}, infer_scaled, float32=True),
    Peer(KSERVE, "kserve"),
    Peer(MLSERVER.format("adaptive batching"), "mlserver", {"BATCH_SIZE": "64", "BATCH_SECONDS": "0.005"}),
    Peer(MLSERVER.format("no batching"), "mlserver", {"BATCH_SIZE": "0", "BATCH_SECONDS": "0"}),
)
