"""The service without a transport: what is in it, composed in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Self

from engine.decode_pool import DecodePool
from engine.models.repository import Repository
from engine.shared_memory import SharedMemory
from service.api import health, reflection
from service.api.digits import service as digits
from service.api.digits.models import ModelsApi
from service.api.digits.service import DigitsApi
from service.api.health import HealthApi
from service.api.method import Method, Methods, table
from service.api.middleware.auth import Guard, guard_method
from service.api.middleware.broadcast import Broadcast, broadcast_changes, run
from service.api.middleware.metrics import count_calls
from service.api.middleware.observe import observe
from service.api.open_inference import service as open_inference
from service.api.open_inference.infer import INFER
from service.api.open_inference.rest.codec import RestApi, RestCodec
from service.api.open_inference.rest.fast_path import RestFastPath
from service.api.open_inference.service import OpenInferenceApi
from service.api.open_inference.statistics import MetricsCollector
from service.config import Settings
from service.telemetry.metrics import Snapshot
from service.telemetry.observer import Observer
from service.telemetry.tracing import Tracing


class App:
    """All RPCs as values. Belongs to the event loop in which it was made."""

    def __init__(self, settings: Settings, broadcast: Broadcast | None = None, guard: Guard | None = None) -> None:
        """Find the models, still to be loaded. Raises `RepositoryError` when there is nothing to serve, and
        `TracingError`.

        `broadcast` are the processes that serve as one with this one, when there are any.
        """
        self.repository = Repository(settings)
        self._decode_pool = DecodePool(
            max_image_pixels=settings.max_image_megapixels * 1_000_000, max_images=settings.max_queue_rows
        )
        self.health = HealthApi(self.repository, [digits.SERVICE, open_inference.SERVICE])
        models = ModelsApi(
            self.repository, max_rows=settings.max_batch_rows, max_message_bytes=settings.max_message_bytes
        )
        api = self._digits = DigitsApi(self.repository, self._decode_pool, models, settings.max_batch_rows)
        memory, max_rows = SharedMemory(settings.shared_memory), settings.max_batch_rows
        open_api = OpenInferenceApi(self.repository, self.health, self._decode_pool, memory, max_rows, self.metrics)
        services = [digits.SERVICE, open_inference.SERVICE, health.SERVICE]
        reflection_methods = reflection.methods(services) if settings.reflection else ()
        self._own = table(*api.methods(), *open_api.methods(), *self.health.methods(), *reflection_methods)
        methods = self._own if broadcast is None else broadcast_changes(self._own, broadcast)
        self._observer = Observer(access_log=settings.access_log, tracing=Tracing.of(settings))
        self.guard = guard or Guard()
        """Whom the methods let pass; by default everyone."""
        self.methods: Methods = table(*map(self._observe_and_guard, methods.values()))
        """Every RPC by its path."""
        rest_infer = replace(methods[INFER], fast_path=RestFastPath(self.repository, memory, max_rows).start)
        self.rest = RestApi(
            {**self.methods, INFER: self._observe_and_guard(rest_infer)}, RestCodec(self.repository, max_rows)
        )
        """The same as REST has them."""
        self._metrics = MetricsCollector(self.methods, self.repository)
        self._broadcast = broadcast

    def _observe_and_guard(self, method: Method) -> Method:
        observed = observe(method, self._observer)
        return count_calls(observed if self.guard.is_noop else guard_method(observed, self.guard))

    async def metrics(self) -> Snapshot:
        """What was counted and how things stand, of this process and its siblings together."""
        return self.snapshot() if self._broadcast is None else await self._broadcast.totals()

    def snapshot(self) -> Snapshot:
        """The same of this process alone."""
        from service.telemetry.process import process_figures  # no call needs prometheus-client

        return {**self._metrics.snapshot(), **process_figures()}

    async def load(self) -> None:
        """Load the models; from then on the server is ready. Raises `RepositoryError` when none can be served."""
        await self.repository.load()
        self.health.loaded()

    async def run(self, path: str, request: bytes) -> bytes:
        """Do a unary RPC in this process alone, as a sibling asked; raises what its handler does."""
        return await run(self._own, path, request)

    def drain(self) -> None:
        """Turn NOT_SERVING and refuse what comes from now on with UNAVAILABLE."""
        self.health.drain()
        self.repository.drain()

    def close(self) -> None:
        """Fail what waits and let the threads end."""
        self.repository.close()
        self._decode_pool.close()
        self._digits.close()
        self._observer.close()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Self]:
        """A loaded app in this process: no server, the same handlers."""
        app = cls(settings)
        try:
            await app.load()
            yield app
        finally:
            app.close()
