"""Refuses to use gRPC in a fork that it does not survive: a call there would hang, whatever its deadline."""

import os

from digits_client.errors import ClientClosed

# The process in which this package first used each of gRPC's libraries.
_processes: dict[str, int] = {}


def check_process(library: str) -> None:
    """To call before `grpc` or `grpc.aio` is used. Raises `ClientClosed` in a fork of a process that has used it.

    `grpc.aio` never survives a fork. `grpc` does unless the environment sets GRPC_ENABLE_FORK_SUPPORT.
    """
    process = _processes.setdefault(library, os.getpid())
    if process == os.getpid() or (library == "grpc" and "GRPC_ENABLE_FORK_SUPPORT" not in os.environ):
        return
    raise ClientClosed(
        f"this process was forked from {process}, which used {library}, and that does not survive the fork: "
        "fork before a client is used, or start processes by spawn"
    )
