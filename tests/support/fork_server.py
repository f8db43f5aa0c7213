"""A process that has imported what `digits` needs, and forks once for each command: `python -m` this file.

Imports are most of what a short command costs, and the tests run some hundreds. A command is a process of its own
all the same, with its own arguments, environment, working directory, and standard streams.
Protocol over the socket at file descriptor 0: a client sends one end of a connection of its own, and over that
a JSON object and three file descriptors; back come the process's id and its exit code, a packet each.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

MODULES = (
    "cli.commands.serve", "cli.commands.classify", "cli.commands.read", "cli.commands.models", "cli.commands.health",
    "cli.commands.score", "cli.in_process", "service.main", "service.process.process",
    "service.transports.envoy.program", "service.transports.http.application", "service.workers.supervisor",
    "scoring.api", "scoring.scorers.in_process", "scoring.scorers.remote",
)  # fmt: skip
MAX_REQUEST = 1 << 20


def serve(requests: socket.socket) -> None:
    """Fork for each request until the other end of `requests` is closed. Returns in the forked processes as well."""
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([requests, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _report_ended(running)
        if requests in ready:
            _, files, _, _ = socket.recv_fds(requests, 1, 1)
            if not files:
                return None
            connection = socket.socket(fileno=files[0])
            data, streams, _, _ = socket.recv_fds(connection, MAX_REQUEST, 3)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for each in (requests, wake, woken, connection, *running.values()):
                    each.close()
                return run(streams, **json.loads(data))
            for stream in streams:
                os.close(stream)
            connection.sendall(b"%d" % pid)
            running[pid] = connection


def _report_ended(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        connection = running.pop(pid)
        with connection, suppress(OSError):  # the test that started it may have ended
            connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))


def run(streams: list[int], arguments: list[str], env: dict[str, str], cwd: str, new_session: bool) -> None:
    """What the console script does, in this process. Raises `SystemExit`."""
    if new_session:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    encoding = env.get("PYTHONIOENCODING")
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115 - these three stay open
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["digits", *arguments]
    from cli.main import main

    main()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for pytest, which then closes the socket
    given: Any = socket.socket(fileno=os.dup(0))
    for name in MODULES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    serve(given)
