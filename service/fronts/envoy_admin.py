"""Envoy's administration interface, over the Unix socket that only its starter can reach."""

import asyncio
import json
from pathlib import Path


class AdminError(Exception):
    """Envoy did not answer, or answered with an error."""


class EnvoyAdmin:
    """Asks one Envoy process."""

    def __init__(self, path: Path) -> None:
        """`path` is that of the socket."""
        self._path = path

    async def ready(self) -> bool:
        """Whether it accepts connections."""
        try:
            await self._ask("GET", "/ready")
        except AdminError:
            return False
        return True

    async def drain(self) -> None:
        """Let it tell its clients to go elsewhere, and accept no new connections. Raises `AdminError`."""
        await self._ask("POST", "/drain_listeners?graceful&skip_exit")

    async def in_flight(self) -> int:
        """Requests that were begun and are not answered to the end. Raises `AdminError`."""
        answer = json.loads(await self._ask("GET", "/stats?format=json&filter=^http.calls.downstream_rq_active$"))
        return sum(int(each.get("value", 0)) for each in answer["stats"])

    async def _ask(self, method: str, path: str) -> bytes:
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                writer.write(f"{method} {path} HTTP/1.0\r\nhost: admin\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        except OSError as error:
            raise AdminError(str(error)) from None
        status = head.split(b" ")[1:2]
        if status != [b"200"]:
            raise AdminError(f"{path}: {head.partition(bytes([13]))[0].decode('latin-1') or 'no answer'}")
        return body
