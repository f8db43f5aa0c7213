"""`digits serve` on each of its fronts, and the bare echo on the same front."""

import importlib.util
import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from artifact.store import VersionFolder
from benchmarks.load.requests import MODEL, PREFIX, LoadRequest, answer
from benchmarks.servers.process import ServerCommand, run_server

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"
LOGS = CACHE / "logs"
LIMITS = ("--max-concurrent-calls=4096", "--max-queue-rows=100000")
"""Limits above every load here, so that none refuses a call."""


def program(name: str) -> str:
    """A command of this Python's environment."""
    return str(Path(sys.executable).with_name(name))


def fronts() -> list[str]:
    """The fronts of this installation."""
    return ["grpcio", "envoy"] if importlib.util.find_spec("pyvoy") else ["grpcio"]


def measured_models(model: VersionFolder = MODEL) -> Path:
    """A models folder with the measured version alone, so that it is the one that answers."""
    folder = CACHE / "models" / f"only-{model.name}" / model.name
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (folder / str(model.version)).symlink_to(model.path)
    return folder.parent


def digits(front: str, model: VersionFolder = MODEL, workers: int = 1) -> ServerCommand:
    """`digits serve` with the measured model."""
    command = [program("digits"), "serve", "--port={port}", "--log-format=json", f"--models={measured_models(model)}"]
    command += [*LIMITS, f"--shared-memory={PREFIX}"]
    command += [f"--front={front}", "--http-port={port_2}", f"--workers={workers}"]
    several = f", {workers} workers" if workers > 1 else ""
    return ServerCommand(f"digits, {front} front{several}", tuple(command))


def echo(front: str, recorded: Path) -> ServerCommand:
    """A server on the same front that answers with recorded bytes, see `record`."""
    name = f"bare echo, {front} front"
    if front == "grpcio":
        return ServerCommand(name, (sys.executable, "-m", "benchmarks.servers.echo", "{port}", str(recorded)))
    command = (program("pyvoy"), "benchmarks.servers.echo_asgi:app", "--port={port}", "--loop=uvloop")
    return ServerCommand(name, command, {"ECHO_ANSWERS": str(recorded)})


def record(requests: list[LoadRequest], file: Path) -> Path:
    """Store the answers of `digits serve` in a JSON file for the echo servers, by the size of the request."""
    with run_server(digits("grpcio"), requests[0], LOGS) as server:
        answers = {str(len(request.body)): answer(server.port, request).hex() for request in requests}
    file.write_text(json.dumps(answers))
    return file


def missing_tools() -> list[str]:
    """Messages about missing optional programs."""
    missing = []
    if not shutil.which("h2load"):
        missing.append("h2load (Debian: nghttp2-client) is not installed: load comes from a heavier client")
    if not importlib.util.find_spec("pyvoy"):
        missing.append("the extra `envoy` is not installed: only the grpcio front is measured")
    return missing
