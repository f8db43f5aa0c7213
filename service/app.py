"""The service without a transport: what is in it, composed in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from service.api import digits, health, open_inference, reflection
from service.api.counting import counted
from service.api.digits import DigitsApi
from service.api.figures import Figures
from service.api.health import HealthApi
from service.api.methods import Methods, table
from service.api.models import ModelsApi
from service.api.open_inference import OpenInferenceApi
from service.config import Settings
from service.observe.metrics import Snapshot
from service.runtime.preparer import Preparer
from service.runtime.repository import Repository
from service.runtime.shared_memory import SharedMemory


class App:
    """All RPCs as values. Belongs to the event loop in which it was made."""

    def __init__(self, settings: Settings) -> None:
        """Find the models, still to be loaded. Raises `RepositoryError` when there is nothing to serve."""
        self.repository = Repository(settings)
        self._preparer = Preparer(
            max_image_pixels=settings.max_image_megapixels * 1_000_000, max_images=settings.max_queue_rows
        )
        self.health = HealthApi(self.repository, [digits.SERVICE, open_inference.SERVICE])
        models = ModelsApi(
            self.repository, max_rows=settings.max_batch_rows, max_message_bytes=settings.max_message_bytes
        )
        api = DigitsApi(self.repository, self._preparer, models, settings.max_batch_rows)
        open_api = OpenInferenceApi(
            self.repository, self.health, SharedMemory(settings.shared_memory), settings.max_batch_rows
        )
        services = [digits.SERVICE, open_inference.SERVICE, health.SERVICE]
        described = reflection.methods(services) if settings.reflection else ()
        self.methods: Methods = table(
            *map(counted, (*api.methods(), *open_api.methods(), *self.health.methods(), *described))
        )
        """Every RPC by its path."""
        self._figures = Figures(self.methods, self.repository)

    async def snapshot(self) -> Snapshot:
        """What this process counted and how it stands, as metrics."""
        from service.observe.process import process_figures  # no call needs prometheus-client

        return {**self._figures.snapshot(), **process_figures()}

    async def load(self) -> None:
        """Load the models; from then on the server is ready. Raises `RepositoryError` when none can be served."""
        await self.repository.load()
        self.health.loaded()

    def drain(self) -> None:
        """Turn NOT_SERVING and refuse what comes from now on with UNAVAILABLE."""
        self.health.drain()
        self.repository.drain()

    def close(self) -> None:
        """Fail what waits and let the threads end."""
        self.repository.close()
        self._preparer.close()

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
