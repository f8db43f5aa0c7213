"""The HTTP port of the grpcio transport: an ASGI application on uvicorn, in this process and its event loop."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from service.telemetry.logs import forward_logs
from service.transports.http.connection import ConnectionLimit, HttpConnection
from service.transports.limits import HEADERS_SECONDS
from service.transports.sockets import listen
from service.transports.tls import Certificates, server_context


class HttpServer:
    """Listens on one address."""

    def __init__(
        self,
        application: Any,
        certificates: Certificates | None = None,
        max_connections: int = 10_000,
        connection_idle_seconds: int = 3600,
    ) -> None:
        """Serve `application` on at most `max_connections` at once, with TLS if there are `certificates`.

        A connection that is idle for `connection_idle_seconds` is closed.
        """
        self._certificates = certificates
        self._renewing: asyncio.Task[None] | None = None
        forward_logs("uvicorn.error")
        self._server = _Server(
            max_connections,
            uvicorn.Config(
                application,
                interface="asgi3",  # else only coroutine functions are taken for it
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=connection_idle_seconds,
            ),
        )
        self._serving: asyncio.Task[None] | None = None

    def start(self, host: str, port: int, *, shared_port: bool = False) -> int:
        """Listen and answer; returns the port, a free one for 0. Raises `ListenError`."""
        listener = listen(host, port, "--http-port", shared=shared_port)
        if (certificates := self._certificates) is not None:
            context = server_context(certificates)
            self._server.config.load()
            self._server.config.ssl = context
            renewing = certificates.keep_renewed(lambda _: certificates.load_into(context))
            self._renewing = asyncio.get_running_loop().create_task(renewing)
        self._serving = asyncio.get_running_loop().create_task(self._server.serve([listener]))
        bound: int = listener.getsockname()[1]
        return bound

    async def stop(self, grace: float) -> None:
        """Accept no new connections; requests in flight may end within `grace` seconds."""
        if self._serving is None:
            return
        if self._renewing is not None:
            self._renewing.cancel()
        self._server.config.timeout_graceful_shutdown = grace  # type: ignore[assignment]  # floats do as well
        self._server.should_exit = True
        await self._serving


class _Server(uvicorn.Server):
    def __init__(self, max_connections: int, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._limit = ConnectionLimit(max_connections)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen as uvicorn does, with `HttpConnection` as the protocol."""
        await self.lifespan.startup()
        connection = partial(
            HttpConnection, self._limit, config=self.config, server_state=self.server_state, app_state={}
        )
        context = self.config.ssl
        self.servers = [
            await asyncio.get_running_loop().create_server(
                connection,
                sock=each,
                ssl=context,
                backlog=self.config.backlog,
                ssl_handshake_timeout=None if context is None else HEADERS_SECONDS,
            )
            for each in sockets or []
        ]
        self.started = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield
