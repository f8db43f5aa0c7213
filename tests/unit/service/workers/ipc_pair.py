"""Both ends of a channel between a supervisor and a worker."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from service.workers.ipc import IpcConnection

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]


@asynccontextmanager
async def connected(one: Answer, other: Answer) -> AsyncIterator[tuple[IpcConnection, IpcConnection]]:
    """Two ends of a channel, each with what it answers by."""
    left, right = socket.socketpair()
    channels = await IpcConnection.open(left, one), await IpcConnection.open(right, other)
    yield channels
    for channel in channels:
        channel.close()


async def nothing(what: str, content: dict[str, Any]) -> None:
    raise AssertionError(f"was asked {what}")
