"""Who may import whom: data flows one way through the rooms."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT

TELEMETRY = {"service.config", "service.telemetry", "engine.histogram"}
# What the supervisor of several processes is made of, and what a process that answers calls is made of.
SUPERVISION = TELEMETRY | {"service.process.signals", "service.transports.sockets", "engine.cpus", "service.workers"}
PROCESS = TELEMETRY | {
    "engine",
    "service.api",
    "service.app",
    "service.process.signals",
    "service.transports",
    "service.transports.sockets",
    "service.transports.tls",
}

BATCH = {"scoring.chunk", "scoring.readers", "scoring.writers", "scoring.sentences"}

# Room -> the rooms it may import. A room is the longest name here that a module starts with.
ARROWS = {
    "artifact": set(),
    "artifact.default_folder": set(),
    "imaging": {"artifact"},
    "digits_protocol": set(),
    "digits_client": {"digits_protocol"},
    "scripts": set(),
    "training": {"artifact", "imaging"},
    "engine": {"artifact", "imaging", "engine.cpus", "engine.histogram"},
    "engine.cpus": set(),
    "engine.histogram": set(),
    "service.config": {"artifact.default_folder"},
    "service.telemetry": {"service.config", "engine.histogram"},
    "service.transports.regular_files": set(),
    "service.api": {"engine", "artifact", "imaging", "digits_protocol", "service.transports.regular_files"} | TELEMETRY,
    "service.transports": {
        "engine",
        "service.api",
        "service.transports.limits",
        "service.transports.sockets",
        "service.transports.tls",
    }
    | TELEMETRY,
    "service.transports.limits": {"engine"},
    "service.transports.sockets": set(),
    "service.transports.tls": {"service.config", "service.telemetry", "service.transports.regular_files"},
    "service.transports.envoy": {
        "service.config",
        "service.transports.limits",
        "service.transports.sockets",
        "service.transports.tls",
    },
    "service.process.open_files": {"service.telemetry"},
    "service.process.signals": set(),
    "service.workers": SUPERVISION,
    "service.workers.link": SUPERVISION | {"service.api", "engine"},
    # Those that compose: the service without a transport, the process with one, alone or one of several.
    "service.app": {"engine", "service.api"} | TELEMETRY,
    "service.process": PROCESS | {"service.transports.envoy", "service.workers", "service.workers.link"},
    "service.main": SUPERVISION
    | {"service.process", "service.process.open_files", "service.transports.envoy", "service.workers"},
    # Batch jobs: readers know of no model, and neither readers nor writers of what scores.
    "scoring": {"digits_client", "engine", "engine.cpus", "artifact", "artifact.default_folder", "imaging"} | BATCH,
    "scoring.sentences": set(),
    "scoring.chunk": {"scoring.sentences"},
    "scoring.readers": {"scoring.chunk", "scoring.sentences", "artifact", "imaging"},
    "scoring.writers": {"scoring.chunk", "artifact", "imaging"},
    "cli": {"*"},
}
GRPC_ALLOWED = ("service.transports.", "service.api.errors", "digits_client.")
PROTOBUF_FREE = ("artifact.", "imaging.", "training.", "scoring.", "engine.", "service.telemetry.", "service.config")
OURS = {"artifact", "cli", "digits_client", "digits_protocol", "engine", "imaging", "scoring", "service", "training"}


def modules() -> Iterator[tuple[str, Path]]:
    for top in sorted(OURS):
        folder = ROOT / "client" if (ROOT / "client" / top).exists() else ROOT
        for path in sorted((folder / top).rglob("*.py")):
            if not path.name.endswith("_pb2.py"):
                yield ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"), path


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str | None:
    return max((name for name in ARROWS if f"{module}.".startswith(f"{name}.")), key=len, default=None)


MODULES = dict(modules())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_the_rooms_its_own_may(module: str):
    """The arrows of the architecture; `service/__init__.py` imports nothing of ours."""
    allowed = ARROWS[room(module)] if room(module) else set()
    if "*" in allowed:
        return
    for name in imports(MODULES[module]):
        if name.split(".")[0] in OURS and name != "service":
            assert room(name) in allowed | {room(module)}, f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_grpc_and_protobuf_stay_at_the_edge(module: str):
    """grpc in the fronts, the error table and the client; protobuf nowhere below the API."""
    names = {name.split(".")[0] for name in imports(MODULES[module])}
    if not f"{module}.".startswith(GRPC_ALLOWED) and not module.startswith("cli"):
        assert "grpc" not in names
    if f"{module}.".startswith(PROTOBUF_FREE):
        assert not names & {"google", "digits_protocol", "grpc_health", "grpc_reflection"}


def test_importing_the_client_brings_neither_server_nor_training():
    """Its users have the base install alone."""
    import subprocess

    code = "import sys, digits_client; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"onnxruntime", "onnx", "sklearn", "PIL", "pydantic", "typer", "service", "artifact", "training"}
    assert not heavy & {name.split(".")[0] for name in loaded}


def test_the_supervisor_of_workers_brings_neither_runtime_nor_front():
    """It stays small, starts at once, and no request can bring it down."""
    import subprocess

    code = "import sys, service.main, service.workers.supervisor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"onnxruntime", "grpc", "numpy", "google"} & {name.split(".")[0] for name in loaded}
