"""Starting `digits`: a process of its own each time, forked from one that has done the imports.

See `tests.support.fork_server`. REAL_PROCESSES=1 in the environment starts the console script instead.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
DIGITS = Path(sys.executable).with_name("digits")
Stream = int | IO[Any] | None
_PORTS = count(os.getpid())


def environment(**settings: str) -> dict[str, str]:
    """The environment without any DIGITS_ setting but the given ones, and a cache of weights for tests."""
    settings = {"DIGITS_WEIGHTS_CACHE": str(ROOT / ".cache" / "tests" / "weights")} | settings
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DIGITS_")}
    return kept | settings


class ForkedProcess:
    """The part of `subprocess.Popen` that tests use, with text streams."""

    def __init__(
        self,
        arguments: list[str],
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.args, self.returncode = ["digits", *arguments], None
        given, self.stdin = _stream(stdin, 0)
        out, self.stdout = _stream(stdout, 1)
        err, self.stderr = _stream(stderr, 2)
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = {
            "arguments": arguments,
            "env": dict(os.environ if env is None else env),
            "cwd": os.fspath(cwd or os.getcwd()),
            "new_session": start_new_session,
        }
        with theirs:
            socket.send_fds(_fork_server(arguments[:1] == ["serve"]), [b"."], [theirs.fileno()])
        socket.send_fds(self._connection, [json.dumps(request).encode()], [given, out, err])
        for number, (stream, descriptor) in enumerate(((stdin, given), (stdout, out), (stderr, err))):
            if isinstance(stream, int) and stream < 0 and descriptor != number:
                os.close(descriptor)
        self.pid = int(self._connection.recv(32))

    def poll(self) -> int | None:
        """The exit code, once the process has ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises `subprocess.TimeoutExpired` after `timeout` seconds."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = int(self._connection.recv(32))
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Close stdin, read all that comes on stdout and stderr, and wait for the end."""
        if self.stdin is not None:
            self.stdin.close()
        read = ["", ""]

        def drain(index: int, stream: IO[str]) -> None:
            read[index] = stream.read()

        streams = [each for each in enumerate((self.stdout, self.stderr)) if each[1] is not None]
        threads = [threading.Thread(target=drain, args=each, daemon=True) for each in streams]
        for each in threads:
            each.start()
        self.wait(timeout)
        for each in threads:
            each.join(timeout)
        return read[0], read[1]


def start_digits(*arguments: object, **options: Any) -> Any:
    """`digits` with these arguments: a `subprocess.Popen` with text streams, or what is like it."""
    given = [str(each) for each in arguments]
    if os.environ.get("REAL_PROCESSES"):
        return subprocess.Popen([str(DIGITS), *given], text=True, errors="replace", **options)
    return ForkedProcess(given, **options)


def run_digits(
    *arguments: object,
    given: str | bytes = b"",
    timeout: float = 120,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    text: bool = True,
) -> subprocess.CompletedProcess[Any]:
    """`digits` with these arguments, and `given` as its standard input, run to its end."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source.write(given.encode() if isinstance(given, str) else given)
        source.seek(0)
        process = start_digits(*arguments, stdin=source, stdout=out, stderr=err, env=env, cwd=cwd)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        told: list[Any] = []
        for each in (out, err):
            each.seek(0)
            told.append(each.read().decode() if text else each.read())
        return subprocess.CompletedProcess(process.args, code, *told)


def free_port() -> int:
    """A port that nothing uses, and that no socket with a port of the system's choice will get meanwhile."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for _ in range(1000):
        port = 10_000 + worker * 1000 % 20_000 + next(_PORTS) % 1000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")


@cache
def _fork_server(serve: bool) -> socket.socket:
    """A connection to it. It ends when this process does.

    gRPC reads how much to log when it is imported; like `cli.main`, only `digits serve` leaves that as it is.
    """
    env = environment() if serve else environment(GRPC_VERBOSITY="NONE")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen([sys.executable, "-m", "tests.support.fork_server"], stdin=theirs, cwd=ROOT, env=env)
    return ours


def _stream(stream: Stream, number: int) -> tuple[int, IO[str] | None]:
    """The descriptor for the new process, and for PIPE our end of it."""
    if stream is None:
        return number, None
    if stream == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    if stream == subprocess.PIPE:
        reading, writing = os.pipe()
        theirs, ours = (reading, writing) if number == 0 else (writing, reading)
        return theirs, open(ours, "w" if number == 0 else "r", errors="replace")
    return (stream if isinstance(stream, int) else stream.fileno()), None
