"""The models that the server holds: found on disk, loaded aside, served once they proved themselves."""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from artifact.layout import LayoutError, VersionFolder, find_versions
from service.config import Settings
from service.observe.logs import log
from service.runtime.batcher import Batcher
from service.runtime.cores import usable_cores
from service.runtime.errors import NotFound, NotReady
from service.runtime.providers import Provider, candidates
from service.runtime.session import ModelError, Session, load_session

PREFERRED_MODEL = "mnist-16x16"


class RepositoryError(Exception):
    """The models folder cannot be served from; the message says why in one sentence."""


class State(Enum):
    """Whether a version answers."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Version:
    """One version of one model; `session` and `batcher` are there once it is ready."""

    folder: VersionFolder
    state: State = State.LOADING
    reason: str = "the model is being loaded"
    """Why it is not ready; empty when it is."""
    loaded_session: Session | None = None
    loaded_batcher: Batcher | None = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.folder.name

    @property
    def version(self) -> str:
        """The version in decimal, as requests write it."""
        return str(self.folder.version)

    @property
    def session(self) -> Session:
        """The loaded model. Raises `NotReady`."""
        if self.loaded_session is None:
            raise NotReady(f"model {self.name} version {self.version} is not ready: {self.reason}")
        return self.loaded_session

    @property
    def batcher(self) -> Batcher:
        """The queue in front of it. Raises `NotReady`."""
        if self.loaded_batcher is None:
            raise NotReady(f"model {self.name} version {self.version} is not ready: {self.reason}")
        return self.loaded_batcher


class Repository:
    """All versions below the models folder. Belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Find the versions, all still to be loaded. Raises `RepositoryError` when there is nothing to serve."""
        self._settings = settings
        try:
            folders = find_versions(settings.models)
        except LayoutError as error:
            raise RepositoryError(str(error)) from None
        if not folders:
            raise RepositoryError(
                f"models folder {settings.models} holds no model, expected <name>/<version>/model.onnx in it"
            )
        self._models: dict[str, list[Version]] = {}
        for folder in folders:
            self._models.setdefault(folder.name, []).append(Version(folder))
        self.default_model = self._choose_default(settings.default_model)
        """Name of the model that an empty name means."""
        self._providers: list[Provider] = candidates(settings.provider)
        if settings.require_provider:
            self._providers = self._providers[:1]
        self._executor = ThreadPoolExecutor(usable_cores(), thread_name_prefix="run")
        self._draining = False
        self._routes: dict[tuple[str, str], Version] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called on the event loop after a version became ready or failed."""

    def _choose_default(self, wanted: str) -> str:
        if wanted and wanted not in self._models:
            raise RepositoryError(
                f"default model {wanted} is not in {self._settings.models}, which holds {', '.join(self._models)}"
            )
        return wanted or (PREFERRED_MODEL if PREFERRED_MODEL in self._models else next(iter(self._models)))

    @property
    def models(self) -> dict[str, list[Version]]:
        """Versions by model, ascending."""
        return self._models

    def versions(self) -> Iterable[Version]:
        """Every version of every model."""
        return (version for versions in self._models.values() for version in versions)

    async def load(self) -> None:
        """Load every version, one after the other, in a thread.

        A version that fails is kept with its reason and the others go on. Raises `RepositoryError` when
        none is ready at the end, when a default model that was named is not, or when a version is not
        ready on the provider that is required.
        """
        for version in self.versions():
            await self._load(version)
        failed = [version for version in self.versions() if version.state is State.FAILED]
        default = self._settings.default_model
        if failed and (
            self._settings.require_provider
            or not any(version.state is State.READY for version in self.versions())
            or (default and all(version in failed for version in self._models[default]))
        ):
            raise RepositoryError("; ".join(dict.fromkeys(version.reason for version in failed)))

    async def _load(self, version: Version) -> None:
        began = time.perf_counter()
        folder, settings = version.folder, self._settings
        try:
            session, inline_rows = await asyncio.to_thread(self._open, folder)
        except ModelError as error:
            version.state, version.reason = State.FAILED, str(error)
            log.error("model failed", model=folder.name, version=folder.version, reason=str(error))
        else:
            version.loaded_session = session
            version.loaded_batcher = Batcher(
                lambda pixels, hidden: session.run(pixels, hidden=hidden),
                max_batch_rows=settings.max_batch_rows,
                max_queue_rows=settings.max_queue_rows,
                inline_rows=inline_rows,
                executor=self._executor,
            )
            version.state, version.reason = State.READY, ""
            log.info(
                "model ready",
                model=folder.name,
                version=folder.version,
                provider=session.provider,
                sha256=session.sha256[:12],
                inline_rows=inline_rows,
                load_ms=round((time.perf_counter() - began) * 1e3),
            )
        self._reroute()
        self.on_change()

    def _open(self, folder: VersionFolder) -> tuple[Session, int]:
        settings = self._settings
        session = load_session(folder, self._providers, settings.threads or usable_cores())
        return session, session.rows_within(settings.inline_us / 1e6, settings.max_batch_rows)

    def _reroute(self) -> None:
        """Lay down which ready version each (name, version) of a request means, empty ones included."""
        if self._draining:
            return
        routes = {}
        for name, versions in self._models.items():
            for version in versions:  # ascending, so the newest ready one stays under ""
                if version.state is State.READY:
                    routes[name, version.version] = routes[name, ""] = version
        for (name, number), version in list(routes.items()):
            if name == self.default_model:
                routes["", number] = version
        self._routes = routes

    def find(self, name: str, version: str) -> Version:
        """The ready version that a request means; an empty name is the default model, an empty version the newest.

        Raises `NotFound` naming what there is, or `NotReady` with the reason.
        """
        found = self._routes.get((name, version))
        return found if found is not None else self._explain(name or self.default_model, version)

    def _explain(self, name: str, version: str) -> Version:
        if self._draining:
            raise NotReady("the server is draining")
        versions = self._models.get(name)
        if versions is None:
            raise NotFound(f"there is no model {name!r}; there is {', '.join(self._models)}")
        if not version:
            raise NotReady(f"no version of model {name} is ready: {'; '.join(each.reason for each in versions)}")
        for each in versions:
            if each.version == version:
                raise NotReady(f"model {name} version {version} is not ready: {each.reason}")
        raise NotFound(
            f"model {name} has no version {version!r}; it has {', '.join(each.version for each in versions)}"
        )

    def drain(self) -> None:
        """Find nothing from now on; who has found a version already may use it."""
        self._draining = True
        self._routes = {}

    def close(self) -> None:
        """Fail what waits and let the threads end."""
        for version in self.versions():
            if version.loaded_batcher is not None:
                version.loaded_batcher.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
