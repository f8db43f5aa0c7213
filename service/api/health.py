"""`grpc.health.v1.Health`: Check, Watch and List.

Its names are "" (the server), each service, and each model.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from grpc_health.v1 import health_pb2 as pb

from engine.errors import InvalidInput, NotFound, quoted
from engine.models.repository import Repository
from service.api.method import Context, Kind, Method

SERVICE = "grpc.health.v1.Health"

SERVING: int = pb.HealthCheckResponse.SERVING
NOT_SERVING: int = pb.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: int = pb.HealthCheckResponse.SERVICE_UNKNOWN


class HealthApi:
    """Tells the truth about the repository: loading and draining are NOT_SERVING."""

    def __init__(self, repository: Repository, services: Iterable[str]) -> None:
        """Follows `repository`; `services` are names that serve as soon as the server does."""
        self._repository = repository
        self._services = ("", *services)
        self._loaded = False
        self._draining = False
        self._changed = asyncio.Event()
        repository.on_change = self._announce

    def methods(self) -> tuple[Method, ...]:
        """The RPCs of the service."""
        request, response = pb.HealthCheckRequest, pb.HealthCheckResponse
        return (
            Method(f"/{SERVICE}/Check", request, response, Kind.UNARY, self.check),
            Method(f"/{SERVICE}/Watch", request, response, Kind.STREAM, self.watch, reserved=True),
            Method(
                f"/{SERVICE}/List",
                pb.HealthListRequest,
                pb.HealthListResponse,
                Kind.UNARY,
                self.list_statuses,
            ),
        )

    def loaded(self) -> None:
        """Every model was loaded or failed: from now on the server is ready if one of them is."""
        self._loaded = True
        self._announce()

    def drain(self) -> None:
        """Everything turns NOT_SERVING for good, and watches end after telling so."""
        self._draining = True
        self._announce()

    def status(self, name: str) -> int | None:
        """The status of a name, None when it is unknown."""
        if name in self._services:
            ready = self._loaded and any(v.answers for v in self._repository.versions())
        elif name in self._repository.models:
            ready = any(v.answers for v in self._repository.models[name])
        else:
            return None
        return SERVING if ready and not self._draining else NOT_SERVING

    def trouble(self) -> str:
        """Why the server is not ready, in one sentence; empty when it is."""
        if self._draining:
            return "the server is draining"
        if not self._loaded:
            return "the models are being loaded"
        return "" if self.status("") == SERVING else "no model is ready"

    async def check(self, request: pb.HealthCheckRequest, context: Context) -> pb.HealthCheckResponse:
        """The status now; NOT_FOUND for an unknown name."""
        status = self.status(request.service)
        if status is None:
            raise NotFound(f"there is no service or model {quoted(request.service)} to tell the health of")
        return pb.HealthCheckResponse(status=status)

    async def watch(
        self, requests: AsyncIterator[pb.HealthCheckRequest], context: Context
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        """The status now and whenever it changes; SERVICE_UNKNOWN for an unknown name."""
        request = await anext(aiter(requests), None)
        if request is None:
            raise InvalidInput("service", "no request came, expected one")
        told = None
        while True:
            changed = self._changed
            status = self.status(request.service)
            if status is None:
                status = SERVICE_UNKNOWN
            if status != told:
                told = status
                yield pb.HealthCheckResponse(status=status)
            elif self._draining:
                return
            else:
                await changed.wait()

    async def list_statuses(self, request: pb.HealthListRequest, context: Context) -> pb.HealthListResponse:
        """The status of every name."""
        names = (*self._services, *self._repository.models)
        return pb.HealthListResponse(
            statuses={name: pb.HealthCheckResponse(status=self.status(name)) for name in names}
        )

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
