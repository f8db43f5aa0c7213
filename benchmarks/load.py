"""Load from another process: h2load where it is installed, else a client of our own on grpcio."""

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.servers import CLIENT_CORE, pin

H2LOAD = shutil.which("h2load")
NAME = "h2load" if H2LOAD else "grpcio"


@dataclass(frozen=True)
class Load:
    """What a client saw."""

    calls_per_second: float
    mean_us: float
    p50_us: float
    p99_us: float


def measure(port: int, path: str, request: bytes, *, calls: int, connections: int = 1, streams: int = 1) -> Load:
    """`calls` unary calls in a closed loop, `streams` at a time on each of `connections`.

    Raises `RuntimeError` when a single call did not come back.
    """
    return (_h2load if H2LOAD else _grpcio)(port, path, request, calls, connections, streams)


def _h2load(port: int, path: str, request: bytes, calls: int, connections: int, streams: int) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(b"\0" + struct.pack(">I", len(request)) + request)
        output = subprocess.run(
            [
                str(H2LOAD), f"--requests={calls}", f"--clients={connections}", f"--max-concurrent-streams={streams}",
                "--threads=1", f"--data={body}", f"--log-file={log}", "--header=content-type: application/grpc",
                "--header=te: trailers", f"http://127.0.0.1:{port}{path}",
            ],
            capture_output=True, text=True, check=True, preexec_fn=lambda: pin(CLIENT_CORE),
        ).stdout  # fmt: skip
        durations = np.loadtxt(log, usecols=2)
    done = re.search(r"(\d+) succeeded", output)
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", output)
    if not done or not rate or int(done[1]) != calls:
        raise RuntimeError(f"not every call came back:\n{output}")
    return _load(float(rate[1]), durations)


def _grpcio(port: int, path: str, request: bytes, calls: int, connections: int, streams: int) -> Load:
    command = [sys.executable, "-m", "benchmarks.client", str(port), path, str(calls), str(connections), str(streams)]
    output = subprocess.run(
        command, input=request, capture_output=True, check=True, preexec_fn=lambda: pin(CLIENT_CORE)
    ).stdout
    seconds, *durations = np.frombuffer(output)
    return _load(calls / seconds, np.array(durations))


def _load(rate: float, durations_us: np.ndarray) -> Load:
    p50, p99 = np.percentile(durations_us, [50, 99])
    return Load(rate, float(durations_us.mean()), float(p50), float(p99))
