"""Load by h2load (Debian's nghttp2-client): a client in C that takes far less of a core than a server does."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.load.requests import LoadRequest
from benchmarks.servers.process import CLIENT_CORES, pinned_to

PROGRAM = shutil.which("h2load")


class FailedCallsError(Exception):
    """Not every call of a load was answered."""


def drive(
    port: int, request: LoadRequest, calls: int, connections: int, streams: int, least_bytes: int
) -> tuple[float, np.ndarray]:
    """Calls a second, and the microseconds of each of `calls`. Raises `FailedCallsError`, see `parse`."""
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(request.message)
        command = [
            str(PROGRAM), f"--requests={calls}", f"--clients={connections}", f"--max-concurrent-streams={streams}",
            "--threads=1", f"--data={body}", f"--log-file={log}", *_headers(request),
            f"http://127.0.0.1:{port}{request.path}",
        ]  # fmt: skip
        with pinned_to(CLIENT_CORES):
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return parse(output, calls, least_bytes), durations(log.read_bytes())


def _headers(request: LoadRequest) -> list[str]:
    if request.rest is None:
        return ["--header=content-type: application/grpc", "--header=te: trailers"]
    return ["--h1", *(f"--header={name}: {value}" for name, value in request.rest.items())]


def parse(output: str, calls: int, least_bytes: int) -> float:
    """Calls a second by what h2load printed.

    To h2load an answer is one whatever its gRPC status says. But an error carries no message, so `calls`
    answers of at least `least_bytes` each must have come. Raises `FailedCallsError`.
    """
    done = re.search(r"(\d+) succeeded", output)
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", output)
    data = re.search(r"\((\d+)\) data", output)
    if not done or not rate or not data or int(done[1]) != calls:
        raise FailedCallsError(f"not every call came back:\n{output}")
    if int(data[1]) < calls * least_bytes:
        raise FailedCallsError(
            f"{calls} answers should hold {calls * least_bytes:,} bytes and more, but {int(data[1]):,} came: "
            f"about {1 - int(data[1]) / (calls * least_bytes):.0%} of the calls failed"
        )
    return float(rate[1])


def durations(log: bytes) -> np.ndarray:
    """Microseconds of each call: the third column of h2load's log, after its start and its HTTP status."""
    return np.array(log.split()[2::3], dtype=np.float64)
