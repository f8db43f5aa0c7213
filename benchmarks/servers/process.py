"""Starts and stops the measured servers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.load.requests import LoadRequest, WrongAnswerError, answer

READY_SECONDS = 120
STOP_SECONDS = 20
ORPHAN_SECONDS = 2
LOG_TAIL_LINES = 30

_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
CLIENT_CORES = _CORES[-1:]
PLACEMENTS = {"free": _CORES, "pinned": _CORES[:1]}
"""CPU affinity of a server while the client has the last core: all cores, or the first core only."""


class StartError(Exception):
    """A server did not start; the message has the end of its log."""


@dataclass(frozen=True)
class ServerCommand:
    """The command of a server. `{port}` in the command becomes a free port, `{port_2}` … further ones."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProcessMemory:
    """The memory of a server, all its processes together, MiB."""

    processes: int
    private_mb: float
    """Pages that no other process maps."""
    pss_mb: float
    """The same, and of pages that several processes map each one's share."""


@dataclass
class RunningServer:
    """A server that has given a correct answer."""

    name: str
    port: int
    http_port: int
    """`{port_2}`, where its HTTP side listens if it has one."""
    pid: int
    ready_seconds: float
    """From the start of the process to the first correct answer."""

    def memory(self) -> "ProcessMemory":
        """What its processes hold now."""
        found = [_rollup(pid) for pid in (self.pid, *descendants(self.pid))]
        sums = [sum(column) / 1024 for column in zip(*filter(None, found), strict=True)]
        return ProcessMemory(len([each for each in found if each]), *sums)

    def resident_mb(self) -> float:
        """Resident memory of all its processes, MiB; shared memory counts for each of them."""
        total = 0
        for pid in [self.pid, *descendants(self.pid)]:
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue  # ended meanwhile
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return total / 1024


def end_on_sigterm() -> None:
    """Make SIGTERM end this process like Ctrl-C, which stops its servers first."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


@contextmanager
def pinned_to(cores: list[int]) -> Iterator[None]:
    """Start processes inside with this CPU affinity, if the system supports it.

    They inherit the affinity of this thread. Code in the child between fork and exec could deadlock on a lock that a
    thread of gRPC or onnxruntime held at the fork.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def run_server(
    server: ServerCommand, probe: LoadRequest, logs: Path, placement: str = "free"
) -> Iterator[RunningServer]:
    """Start `server`, wait until it answers `probe` correctly, and stop it and its children afterwards.

    Its output goes to `logs/<name>.log`. Raises `StartError`.
    """
    ports = _free_ports(3)
    names = {"port": ports[0], "port_2": ports[1], "port_3": ports[2]}
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{server.name.replace(' ', '-').replace('/', '-')}.log"
    began = time.perf_counter()
    with log.open("w") as output, pinned_to(PLACEMENTS[placement]):
        process = subprocess.Popen(
            [part.format(**names) for part in server.command],
            env={**os.environ, **server.environment, **{key.upper(): str(value) for key, value in names.items()}},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_answer(process, ports[0], probe, log)
        yield RunningServer(server.name, ports[0], ports[1], process.pid, time.perf_counter() - began)
    finally:
        _end(process)


def descendants(pid: int) -> list[int]:
    """All descendants of the process `pid`."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def _rollup(pid: int) -> tuple[int, int] | None:
    """Private memory and proportional share of a process, KiB; None for one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return None
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return sizes["Private_Clean"] + sizes["Private_Dirty"], sizes["Pss"]


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a server's log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, probe: LoadRequest, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    reason = "it did not listen"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"it ended with {process.returncode}:\n{tail(log)}")
        if _listens(port):
            try:
                answer(port, probe)
                return
            except ConnectionError as error:
                reason = str(error)
            except WrongAnswerError as error:
                raise StartError(f"its answer is wrong: {error}\n{tail(log)}") from None
        time.sleep(0.01)
    raise StartError(f"no answer within {READY_SECONDS} s: {reason}\n{tail(log)}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def _end(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, wait, then SIGKILL, also to the processes that the server started."""
    family = descendants(process.pid)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            family += descendants(process.pid)
            process.kill()
            process.wait()
    _wait_until_gone(family, ORPHAN_SECONDS)
    for pid in filter(alive, family):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _wait_until_gone(family, STOP_SECONDS)


def _wait_until_gone(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(alive(pid) for pid in pids):
        time.sleep(0.02)
