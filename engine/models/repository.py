"""The models of the server: found on disk, loaded in a thread, served once their golden rows reproduced."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from artifact.store import LayoutError, VersionFolder, default_model, find_versions
from engine.errors import NotAllowed, NotFound, NotReady, listed, quoted
from engine.log import log
from engine.models.loader import VersionLoader
from engine.models.version import State, Version
from engine.models.version_policy import Policy, PolicyError, read_policy
from engine.settings import EngineSettings
from engine.statistics import Statistics

ON_DEMAND = "the first call for the model loads it"


class RepositoryError(Exception):
    """The server cannot serve from the models folder; the message says why in one sentence."""


class Repository:
    """All versions below the models folder. Belongs to one event loop.

    Compares the folder with the loaded versions: only at the start (`--model-control none`), every few seconds
    (`poll`), or for one model when a client asks (`explicit`).
    """

    def __init__(self, settings: EngineSettings) -> None:
        """Find the versions, without loading them.

        Raises `RepositoryError` when the folder is missing, or when it is empty and models cannot be added.
        """
        self._settings = settings
        self._models: dict[str, list[Version]] = {}
        self._policies: dict[str, Policy] = {}
        self._policy_troubles: dict[str, str] = {}
        self._routes: dict[tuple[str, str], Version] = {}
        self._draining = False
        self._changing = asyncio.Lock()
        self._trouble = ""
        self._loading: set[asyncio.Task[None]] = set()
        """Models, by the names of the tasks, that are being loaded for calls; the loop keeps only weak references."""
        self._demanded: set[str] = set()
        """Models that were loaded, or tried, under `--load lazy`."""
        self._loader = VersionLoader(settings)
        self.on_change: Callable[[], None] = lambda: None
        """Called on the event loop after the versions, or their states, changed."""
        self.statistics: defaultdict[tuple[str, int], Statistics] = defaultdict(Statistics)
        """By name and number, of every present or past version: counters survive an unload."""
        try:
            found = self._find_versions()
        except LayoutError as error:
            raise RepositoryError(str(error)) from None
        if not found and settings.model_control == "none":
            raise RepositoryError(
                f"models folder {settings.models} holds no model, expected <name>/<version>/model.onnx in it"
            )
        for folder in found:
            self._models.setdefault(folder.name, []).append(self._version(folder))
        wanted = {settings.default_model: "default model"} if settings.default_model else {}
        for name, what in (dict.fromkeys(settings.variants, "model") | wanted).items():
            if name not in self._models:
                raise RepositoryError(
                    f"{what} {name} is not in {settings.models}, which holds {listed(list(self._models))}"
                )

    def _find_versions(self) -> list[VersionFolder]:
        """The versions on disk, each in the variant to be served. Raises `LayoutError`."""
        variants = self._settings.variants
        return [replace(found, variant=variants.get(found.name, "")) for found in find_versions(self._settings.models)]

    @property
    def default_model(self) -> str:
        """Name of the model that an empty name means; empty when there is none."""
        return self._settings.default_model or default_model(self._models)

    @property
    def models(self) -> dict[str, list[Version]]:
        """Versions by model, ascending."""
        return self._models

    def _version(self, folder: VersionFolder, fingerprint: Any = None) -> Version:
        """A version that is not loaded yet, with the counters of those before it under its name and number."""
        return Version(folder, fingerprint, statistics=self.statistics[folder.name, folder.version])

    def policy(self, name: str) -> Policy:
        """Which versions of a model on disk are served."""
        return self._policies.get(name, Policy())

    def versions(self) -> Iterable[Version]:
        """Every version of every model."""
        return (version for versions in self._models.values() for version in versions)

    async def load(self) -> None:
        """Load the versions that were found, in a thread, one after the other; under `--load lazy` those of the
        default model.

        A version that fails is kept with its reason and the others go on. Raises `RepositoryError` when
        none is ready at the end and none can become so, when no version of a model is that was named as the
        default or for its variant, or when a version is not ready on the provider that is required.
        """
        if self.default_model:
            self._demanded.add(self.default_model)
        try:
            await self.refresh()
        except LayoutError as error:
            raise RepositoryError(str(error)) from None
        failed = [version for version in self.versions() if version.state is State.FAILED]
        none_answers = not any(version.answers for version in self.versions())
        named = {self._settings.default_model, *self._settings.variants} - {""}
        if failed and (
            self._settings.require_provider
            or (none_answers and self._settings.model_control == "none")
            or any(all(version in failed for version in self._models.get(name, ())) for name in named)
        ):
            raise RepositoryError(_reasons(failed))

    async def watch(self) -> None:
        """With `--model-control poll`, follow the models folder until cancelled; else return at once."""
        while self._settings.model_control == "poll":
            await asyncio.sleep(self._settings.poll_seconds)
            try:
                await self.refresh()
            except Exception as error:  # loaded models go on serving, and polling goes on
                if str(error) != self._trouble:
                    log.error(
                        "models folder not followed", reason=str(error), exc_info=not isinstance(error, LayoutError)
                    )
                self._trouble = str(error)
            else:
                self._trouble = ""

    async def load_model(self, name: str) -> None:
        """Load new or changed versions of a model on disk, and unload removed ones.

        Raises `NotFound` when there is no such model on disk, and `NotAllowed` unless models are controlled
        explicitly, or when no version of it could be loaded.
        """
        self._require_explicit()
        try:
            await asyncio.shield(self._load(name))
        except LayoutError as error:
            raise NotAllowed(str(error)) from None
        versions = self._models.get(name)
        if not versions:
            raise NotFound(f"there is no model {quoted(name)} in the models folder")
        if not any(version.state is State.READY for version in versions):
            raise NotAllowed(f"model {name} was not loaded: {_reasons(versions)}")

    def _load(self, name: str) -> asyncio.Task[None]:
        """Match a model to the disk. It is a task: a caller that is cancelled must not leave a version half loaded."""
        self._demanded.add(name)
        loading = asyncio.create_task(self.refresh(name), name=name)
        self._loading.add(loading)
        loading.add_done_callback(self._loading.discard)
        return loading

    async def unload_model(self, name: str) -> None:
        """Unload a model; calls in flight finish on it. Raises `NotFound` and `NotAllowed`."""
        self._require_explicit()
        async with self._changing:
            versions = self._models.get(name)
            if versions is None:
                raise self._no_model(name)
            self._models[name] = [
                replace(self._version(version.folder), state=State.UNLOADED, reason="it was unloaded")
                for version in versions
            ]
            self._demanded.add(name)
            log.info("model unloaded", model=name)
            self._changed()

    def _require_explicit(self) -> None:
        mode = self._settings.model_control
        if mode != "explicit":
            raise NotAllowed(
                f"models are loaded and unloaded by call under --model-control explicit, and this is {mode}"
            )

    async def refresh(self, only: str | None = None) -> None:
        """Load and unload until memory matches the disk, for all models or one. Raises `LayoutError`."""
        async with self._changing:
            folders = await asyncio.to_thread(self._find_versions)
            names = dict.fromkeys([folder.name for folder in folders] + list(self._models))
            if only is not None:
                names = {only: None} if only in names else {}
            elif self._models and not folders:
                # More likely an unmounted file system than the removal of all models.
                raise LayoutError(f"models folder {self._settings.models} is empty, what is loaded goes on")
            for name in names:
                await self._refresh_model(name, [folder for folder in folders if folder.name == name])

    async def _refresh_model(self, name: str, folders: list[VersionFolder]) -> None:
        """Load new or changed versions, newest first, then unload removed and unwanted ones."""
        policy = await self._read_policy(name)
        held = {version.folder.version: version for version in self._models.get(name, ())}
        kept: dict[int, Version] = {}
        lazy = self._settings.load == "lazy" and name not in self._demanded
        for folder in sorted(folders, key=lambda folder: -folder.version):
            if not policy.wants(folder.version):
                continue
            number = folder.version
            if lazy:
                waiting = replace(self._version(folder), state=State.ON_DEMAND, reason=ON_DEMAND)
                kept[number] = replace(waiting, has_snapshots=folder.snapshots.is_file())
                continue
            kept[number] = await self._refresh_version(folder, held.get(number))
            if policy.versions == "newest" and kept[number].state is State.READY:
                break
        gone = [number for number, version in held.items() if number not in kept and version.state is State.READY]
        if gone:
            log.info("versions removed", model=name, versions=sorted(gone))
        if kept or held:
            self._models[name] = [kept[number] for number in sorted(kept)]
            if not kept:
                del self._models[name]
                self._policies.pop(name, None)
                self._policy_troubles.pop(name, None)
                self._demanded.discard(name)
            self._changed()

    async def _read_policy(self, name: str) -> Policy:
        """The policy on disk; if it is malformed, the previous one, and the error is logged once."""
        try:
            self._policies[name] = await asyncio.to_thread(read_policy, self._settings.models / name)
            self._policy_troubles.pop(name, None)
        except PolicyError as error:
            before = self._policies.setdefault(name, Policy())
            if self._policy_troubles.get(name) != str(error):
                self._policy_troubles[name] = str(error)
                log.error("policy not read, the one before goes on", model=name, before=str(before), reason=str(error))
        return self._policies[name]

    async def _refresh_version(self, folder: VersionFolder, held: Version | None) -> Version:
        """The version to keep: the loaded one if its files did not change, or if the new ones are invalid."""
        fingerprint = folder.fingerprint()
        if held is not None and held.fingerprint == fingerprint:
            return held
        fresh = self._version(folder, fingerprint)
        versions = self._models.setdefault(folder.name, [])
        if held is None:  # visible while it loads
            versions.append(fresh)
            versions.sort(key=lambda version: version.folder.version)
        await self._loader.load(fresh)
        if fresh.state is State.FAILED and held is not None and held.state is State.READY:
            held.reason, held.fingerprint = fresh.reason, fingerprint
            return held
        versions[:] = [fresh if version is held else version for version in versions]
        self._changed()  # new calls now find the new version
        return fresh

    def _changed(self) -> None:
        """Compute the ready version for each (name, version) of a request, empty ones included."""
        if self._draining:
            return
        routes: dict[tuple[str, str], Version] = {}
        default = self.default_model
        for name, versions in self._models.items():
            for version in versions:  # ascending, so the newest ready one stays under ""
                if version.state is State.READY:
                    for alias in (name, "") if name == default else (name,):
                        routes[alias, version.version] = routes[alias, ""] = version
        self._routes = routes
        self.on_change()

    def route(self, name: str, version: str) -> Version | None:
        """As `find`, but None instead of an error."""
        return self._routes.get((name, version))

    async def find_loaded(self, name: str, version: str) -> Version:
        """As `find`, but a model that is loaded on demand is loaded first."""
        found = self._routes.get((name, version))
        if found is not None:
            return found
        wanted = name or self.default_model
        if not self._draining and any(each.state is State.ON_DEMAND for each in self._models.get(wanted, ())):
            loading = next((task for task in self._loading if task.get_name() == wanted), None)
            try:
                await asyncio.shield(loading or self._load(wanted))
            except LayoutError as error:
                raise NotReady(str(error)) from None
        return self.find(name, version)

    def find(self, name: str, version: str) -> Version:
        """The ready version for a request: an empty name means the default model, an empty version the newest.

        Raises `NotFound`, which names the existing ones, or `NotReady` with the reason.
        """
        found = self._routes.get((name, version))
        return found if found is not None else self._explain(name or self.default_model, version)

    def answers(self, name: str, version: str) -> bool:
        """Whether `find_loaded` would find a version, as far as is known before it is loaded."""
        versions = () if self._draining else self._models.get(name or self.default_model, ())
        return any(each.answers and version in ("", each.version) for each in versions)

    def _explain(self, name: str, version: str) -> Version:
        if self._draining:
            raise NotReady("the server is draining")
        versions = self._models.get(name)
        if versions is None:
            raise self._no_model(name)
        if not version:
            raise NotReady(f"no version of model {name} is ready: {_reasons(versions)}")
        for each in versions:
            if each.version == version:
                raise each.not_ready()
        raise NotFound(
            f"model {name} has no version {quoted(version)}; it has {listed([each.version for each in versions])}"
        )

    def _no_model(self, name: str) -> NotFound:
        return NotFound(f"there is no model {quoted(name)}; there is {listed(list(self._models))}")

    def drain(self) -> None:
        """Refuse new requests; requests that have found a version may use it."""
        self._draining = True
        self._routes = {}

    def close(self) -> None:
        """Fail waiting calls and stop the threads."""
        for version in self.versions():
            if version.loaded_batcher is not None:
                version.loaded_batcher.close()
        self._loader.close()


def _reasons(versions: Sequence[Version]) -> str:
    """Why `versions`, at least one, are not ready: the first reason, and how many others there are."""
    first, *others = dict.fromkeys(version.reason for version in versions)
    return f"{first}; {len(others)} more in the log" if others else first
