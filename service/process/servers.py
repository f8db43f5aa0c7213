"""The default transport: a `grpc.aio` server, and uvicorn for the HTTP port, in this process and its event loop."""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from service.app import App
from service.config import Settings
from service.transports.grpcio.server import GrpcioTransport
from service.transports.tls import Certificates

if TYPE_CHECKING:
    from service.transports.http.uvicorn import HttpServer


class Servers:
    """Both servers; see `Transport`."""

    def __init__(
        self, app: App, settings: Settings, certificates: Certificates | None, *, shared_port: bool = False
    ) -> None:
        """Serve `app`; with `shared_port` other processes may listen on the same ports."""
        self._settings = settings
        self._shared_port = shared_port
        self._grpc = GrpcioTransport(
            app.methods,
            max_message_bytes=settings.max_message_bytes,
            max_pending_bytes=settings.max_pending_mb * 2**20,
            max_concurrent_calls=settings.max_concurrent_calls,
            max_connections=settings.max_connections,
            connection_idle_seconds=settings.connection_idle_seconds,
            connection_age_seconds=settings.connection_age_seconds,
            shared_port=shared_port,
            certificates=certificates,
        )
        self._http = _http_server(app, settings, certificates)

    async def start(self) -> dict[str, int | None]:
        """See `Transport`."""
        settings = self._settings
        ports: dict[str, int | None] = {"http_port": None}
        if self._http is not None:
            ports["http_port"] = self._http.start(settings.host, settings.http_port, shared_port=self._shared_port)
        ports["port"] = await self._grpc.start(settings.host, settings.port)
        return ports

    async def stop(self, grace: float, stopped_listening: Callable[[], Awaitable[None]] | None) -> None:
        """See `Transport`."""
        until = time.monotonic() + grace
        await self._grpc.stop(grace, stopped_listening)
        if self._http is not None:  # last: until then it tells probes that the server is draining
            await self._http.stop(max(0.0, until - time.monotonic()))


def _http_server(app: App, settings: Settings, certificates: Certificates | None) -> "HttpServer | None":
    if settings.http_port < 0:
        return None
    from service.transports.http.application import HttpApp
    from service.transports.http.uvicorn import HttpServer

    application = HttpApp(app.methods, app.rest, app.health, settings, app.metrics, app.guard)
    return HttpServer(application, certificates, settings.max_connections, settings.connection_idle_seconds)
