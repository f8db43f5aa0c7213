"""Servers under measurement, each a process of its own on a core of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, CLIENT_CORE = 0, 1


@dataclass(frozen=True)
class Running:
    """A server that accepts calls."""

    port: int
    pid: int
    ready_seconds: float
    """From the start of the process until it said it serves."""

    def resident_mb(self) -> float:
        """Resident memory now, MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise ValueError("no VmRSS")


def pin(core: int) -> None:
    """Keep this process and those it starts on one core, where the system can."""
    if hasattr(os, "sched_setaffinity") and core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {core})


@contextmanager
def _process(command: Sequence[str], stream: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, **{stream: subprocess.PIPE}, preexec_fn=lambda: pin(SERVER_CORE))
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def digits_server(*flags: str) -> Iterator[Running]:
    """`digits serve` with the committed models."""
    began = time.perf_counter()
    command = [
        str(Path(sys.executable).with_name("digits")),
        "serve",
        "--port=0",
        "--http-port=0",
        "--log-format=json",
        *flags,
    ]
    with _process(command, "stderr") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if not line.startswith("{"):
                continue
            event = json.loads(line)
            if event["event"] == "serving":
                yield Running(event["port"], process.pid, time.perf_counter() - began)
                return
        raise RuntimeError("the server did not start")


@contextmanager
def echo_server(response_bytes: int) -> Iterator[Running]:
    """The bare echo, see `benchmarks.echo`."""
    began = time.perf_counter()
    with _process([sys.executable, "-m", "benchmarks.echo", str(response_bytes)], "stdout") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Running(port, process.pid, time.perf_counter() - began)
