"""Who may import whom: data flows one way through the rooms."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import ROOT

# What the supervisor of several processes is made of, and what a process that answers calls is made of.
SUPERVISION = {
    "service.config",
    "service.observe",
    "service.lifecycle",
    "service.fronts.ports",
    "service.runtime.cores",
    "service.workers",
}
PROCESS = {
    "service.app",
    "service.api",
    "service.fronts",
    "service.fronts.ports",
    "service.fronts.tls",
    "service.lifecycle",
    "service.runtime",
    "service.config",
    "service.observe",
}

BATCH = {"scoring.chunk", "scoring.readers", "scoring.sentences", "scoring.writers"}

# Room -> the rooms it may import. A room is the longest name here that a module starts with.
ARROWS = {
    "artifact": set(),
    "stubs": set(),
    "training": {"artifact"},
    "digits_client": {"stubs"},
    "service.config": set(),
    "service.observe": {"service.config"},
    "service.files": set(),
    "service.descriptors": {"service.observe"},
    "service.runtime": {"artifact", "service.config", "service.observe", "service.runtime.cores"},
    "service.runtime.cores": set(),
    "service.api": {"service.runtime", "artifact", "stubs", "service.config", "service.observe", "service.files"},
    "service.fronts": {
        "service.api",
        "service.runtime",
        "service.config",
        "service.observe",
        "service.fronts.pending",
        "service.fronts.ports",
        "service.fronts.tls",
    },
    "service.fronts.pending": {"service.runtime"},
    "service.fronts.ports": set(),
    "service.fronts.tls": {"service.config", "service.observe", "service.files"},
    "service.fronts.envoy": {
        "service.config",
        "service.fronts.pending",
        "service.fronts.ports",
        "service.fronts.tls",
    },
    "service.lifecycle": set(),
    "service.workers": SUPERVISION,
    "service.workers.control": SUPERVISION | {"service.api", "service.runtime"},
    # Those that compose: the service without a transport, the process with one, alone or one of several.
    "service.app": {"service.api", "service.runtime", "service.config", "service.observe"},
    "service.process": PROCESS,
    "service.worker": PROCESS | {"service.process", "service.workers", "service.workers.control"},
    "service.envoy_worker": PROCESS | {"service.fronts.envoy", "service.workers", "service.workers.control"},
    "service.serve": SUPERVISION
    | {"service.descriptors", "service.fronts.envoy", "service.process", "service.workers"},
    # Batch jobs: readers know of no model, and neither readers nor writers of what scores.
    "scoring": {"digits_client", "service.runtime", "service.runtime.cores", "artifact", "stubs"} | BATCH,
    "scoring.sentences": set(),
    "scoring.chunk": {"scoring.sentences"},
    "scoring.readers": {"scoring.chunk", "scoring.sentences", "artifact"},
    "scoring.writers": {"scoring.chunk", "artifact"},
    "cli": {"*"},
}
GRPC_ALLOWED = ("service.fronts.", "service.api.errors", "digits_client.")
PROTOBUF_FREE = ("artifact.", "training.", "scoring.", "service.runtime.", "service.observe.", "service.config")
OURS = {"artifact", "stubs", "training", "digits_client", "service", "cli", "scoring"}


def modules() -> Iterator[tuple[str, Path]]:
    for top in sorted(OURS & {path.name for path in ROOT.iterdir()}):
        for path in sorted((ROOT / top).rglob("*.py")):
            if not path.name.endswith("_pb2.py"):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


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
        assert not names & {"google", "stubs", "grpc_health", "grpc_reflection"}


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

    code = "import sys, service.serve, service.workers.supervisor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"onnxruntime", "grpc", "numpy", "google"} & {name.split(".")[0] for name in loaded}
