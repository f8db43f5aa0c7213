"""Envoy's administration interface, over a Unix socket."""

import asyncio
import json
import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

IN_FLIGHT = "http.calls.downstream_rq_active"
# Seconds; Envoy answers at once unless it hangs.
TIMEOUT_SECONDS = 5.0
# Seconds between two requests while waiting for a state.
POLL_SECONDS = 0.02
# How many answers in a row must count no call: a client that was just refused may be about to come again.
QUIET_POLLS = 5


class AdminError(Exception):
    """Envoy did not answer, or answered with an error."""


class EnvoyAdmin:
    """Requests to one Envoy process."""

    def __init__(self, path: Path) -> None:
        """`path` is the socket."""
        self._path = path

    async def ready(self) -> bool:
        """Whether it accepts connections."""
        try:
            await self._ask("GET", "/ready")
        except AdminError:
            return False
        return True

    async def stop_listening(self) -> None:
        """Stop listening, and send GOAWAY to clients with their next answers. Raises `AdminError`."""
        await self._ask("POST", "/drain_listeners?graceful&skip_exit")  # by itself it would listen a second longer
        await self._ask("POST", "/drain_listeners")

    async def drain(self, grace: float) -> None:
        """Stop listening, and wait until no call is in flight or Envoy has ended, `grace` seconds at most."""
        with suppress(AdminError, TimeoutError):
            async with asyncio.timeout(grace):
                await self.stop_listening()
                quiet = 0
                while quiet < QUIET_POLLS:
                    quiet = 0 if await self.in_flight() else quiet + 1
                    await asyncio.sleep(POLL_SECONDS)

    async def in_flight(self) -> int:
        """Requests whose answers are not complete. Raises `AdminError`."""
        answer = json.loads(await self._ask("GET", f"/stats?format=json&filter={IN_FLIGHT}"))
        return sum(int(each["value"]) for each in answer["stats"])

    async def _ask(self, method: str, path: str) -> bytes:
        return await asyncio.to_thread(_ask, self._path, method, path)


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("envoy", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """To the Unix socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(str(self._path))


def _ask(socket_path: Path, method: str, path: str) -> bytes:
    connection = _Connection(socket_path)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        raise AdminError(f"{path}: {error}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise AdminError(f"{path}: {response.status} {response.reason}")
    return body
