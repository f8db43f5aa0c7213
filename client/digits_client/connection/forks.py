"""Forks that gRPC does not survive: a call in one would wait for ever, whatever its deadline."""

import os

from digits_client.errors import ClientClosed

# The process in which each of gRPC's libraries was first used by this package.
_processes: dict[str, int] = {}


def check_process(library: str) -> None:
    """Before `grpc` or `grpc.aio` is used. Raises `ClientClosed` in a fork of a process that used it already.

    `grpc.aio` never survives a fork, and `grpc` does as long as the environment leaves its support of forks as it is.
    """
    process = _processes.setdefault(library, os.getpid())
    if process == os.getpid() or (library == "grpc" and "GRPC_ENABLE_FORK_SUPPORT" not in os.environ):
        return
    raise ClientClosed(
        f"this process was forked from {process}, which used {library}, and that does not survive the fork: "
        "fork before a client is used, or start processes by spawn"
    )
