"""The default transport: the table of methods on a `grpc.aio` server."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc

from service.api.admission import Admission
from service.api.method import Kind, Methods
from service.api.pipeline import Pipeline
from service.telemetry.logs import log
from service.transports.grpcio.handlers import HandlerTable
from service.transports.sockets import ListenError, bare, probe
from service.transports.tls import Certificates

# A stop begins when no call has come for QUIET_SECONDS, after SETTLE_SECONDS at the latest.
SETTLE_SECONDS = 1.0
QUIET_SECONDS = 0.1

# Seconds between two checks that grpc's server still runs, and the grace of its calls when it does not.
CHECK_SECONDS = 0.05
RESTART_GRACE_SECONDS = 2.0

_PENDING_CALLS = 10_000
_NEVER = 2**31 - 1  # milliseconds, for grpc


class GrpcioTransport:
    """Serves the table over HTTP/2."""

    def __init__(
        self,
        methods: Methods,
        *,
        max_message_bytes: int,
        max_pending_bytes: int,
        max_concurrent_calls: int,
        shared_port: bool = False,
        max_connections: int = 10_000,
        connection_idle_seconds: int = 3600,
        connection_age_seconds: int = 0,
        certificates: Certificates | None = None,
    ) -> None:
        """Serve `methods` within limits.

        grpc itself refuses requests over `max_message_bytes`, and calls beyond `max_concurrent_calls` and the
        reserved ones, with RESOURCE_EXHAUSTED. Unary requests that together hold more than `max_pending_bytes`
        while they wait or run are refused with RESOURCE_EXHAUSTED and a time to retry. With `shared_port` other
        processes may listen on the same port, if they set it too. With `certificates` connections use TLS 1.2 or
        newer.
        """
        self._shared_port = shared_port
        self._credentials = None if certificates is None else _credentials(certificates)
        self._admission = Admission(max_pending_bytes, max_concurrent_calls)
        self._table = HandlerTable(Pipeline(methods, self._admission))
        # grpc cannot distinguish reserved calls.
        self._max_calls = max_concurrent_calls + len(Kind) * self._admission.reserved_calls
        self._options = [
            ("grpc.so_reuseport", int(shared_port)),  # else a second server on the port is refused
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 16 * 1024),
            # By default grpc cancels some calls at random when more than a thousand are pending.
            ("grpc.server.max_pending_requests", max_concurrent_calls + _PENDING_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", max_concurrent_calls + 2 * _PENDING_CALLS),
            ("grpc.max_allowed_incoming_connections", max_connections),
            ("grpc.max_connection_idle_ms", connection_idle_seconds * 1000),
            ("grpc.max_connection_age_ms", connection_age_seconds * 1000 or _NEVER),
            # Clients may ping a connection that is idle, as load balancers do, every 10 s.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ]
        self._server = self._new_server()
        self._keeper: asyncio.Task[None] | None = None
        self._ending: list[asyncio.Task[None]] = []

    def _new_server(self) -> Any:
        server = grpc.aio.server(options=self._options, maximum_concurrent_rpcs=self._max_calls)
        server.add_generic_rpc_handlers([self._table])
        return server

    async def start(self, host: str, port: int) -> int:
        """Listen and accept calls; returns the port, a free one for 0. Raises `ListenError`."""
        host = bare(host)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if not self._shared_port:
            probe(host, port, "--port")
        try:
            bound = self._add_port(address)
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {address} (--port): {error}") from None
        await self._server.start()
        self._keeper = asyncio.create_task(self._keep(address.rpartition(":")[0] + f":{bound}"))
        return bound

    async def _keep(self, address: str) -> None:
        """Restart grpc's server when it ends by itself, as it does on a request whose path is not UTF-8.

        Calls of the old server may finish there.
        """
        while not self._admission.draining.is_set():
            try:
                await self._server.wait_for_termination(CHECK_SECONDS)
            except Exception as error:
                log.warning("grpc's server ended by itself and is started again", address=address, reason=str(error))
                self._ending.append(asyncio.create_task(self._server.stop(RESTART_GRACE_SECONDS)))
                self._ending = [task for task in self._ending if not task.done()]
                self._server = self._new_server()
                while not self._listening(address):  # noqa: ASYNC110 - the port is not free yet
                    await asyncio.sleep(CHECK_SECONDS)
                await self._server.start()

    def _listening(self, address: str) -> bool:
        with suppress(RuntimeError):
            self._add_port(address)
            return True
        return False

    def _add_port(self, address: str) -> int:
        if self._credentials is None:
            return int(self._server.add_insecure_port(address))
        return int(self._server.add_secure_port(address, self._credentials))

    async def stop(self, grace: float, stopped_listening: Callable[[], Awaitable[None]] | None = None) -> None:
        """Accept no new calls; those whose handler was entered may finish within `grace` seconds.

        Streams are read no further: what was read is answered, then they end with UNAVAILABLE. grpc would cancel
        calls that it has received and not yet handed over, without a reason; so the server first waits until no more
        are handed over. Rejections are sent after GOAWAY, see `Admission.wait_until_rejections_allowed`. Where other
        processes listen on the port, `stopped_listening` waits until none of them does, so that a rejected client
        does not reach one that is about to stop.
        """
        self._admission.draining.set()
        began = time.monotonic()
        settled = began + min(SETTLE_SECONDS, grace)
        entered = -1
        while entered != self._table.calls and time.monotonic() < settled:
            entered = self._table.calls
            await asyncio.sleep(QUIET_SECONDS)
        stopping = asyncio.create_task(self._server.stop(max(0.0, began + grace - time.monotonic())))
        await asyncio.sleep(0)  # it stops listening and sends GOAWAY
        if stopped_listening is not None:
            await stopped_listening()
        self._admission.goaway_sent.set()
        await asyncio.gather(stopping, *self._ending)
        if self._keeper is not None:
            await self._keeper


def _credentials(certificates: Certificates) -> Any:
    """Credentials for which grpc asks again with each connection."""

    def configuration() -> Any:
        pem = certificates.current()
        return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.client_ca)

    authenticated = certificates.current().client_ca is not None
    return grpc.dynamic_ssl_server_credentials(configuration(), configuration, authenticated)
