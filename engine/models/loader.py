"""Loads one version: its session, whose golden rows must reproduce, and the batcher in front of it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from artifact.store import VersionFolder
from engine.cpus import usable_cores
from engine.log import log
from engine.models.batcher import Batcher
from engine.models.providers import Provider, candidates
from engine.models.session import ModelError, Session, first_line, load_session
from engine.models.version import State, Version
from engine.models.weights_cache import WeightsCache, default_folder
from engine.settings import EngineSettings


class VersionLoader:
    """Loads versions as the settings say, and owns the threads in which large batches run."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._providers: list[Provider] = candidates(
            settings.provider, cuda_device=settings.cuda_device, cuda_memory_mb=settings.cuda_memory_mb
        )
        if settings.require_provider:
            self._providers = self._providers[:1]
        wanted = settings.weights_cache
        self._cache = WeightsCache(None if wanted == "none" else Path(wanted) if wanted else default_folder())
        self._executor = ThreadPoolExecutor(usable_cores(), thread_name_prefix="run")

    async def load(self, version: Version) -> None:
        """Load it in a thread: afterwards it is READY, or FAILED with a reason, which is logged."""
        began = time.perf_counter()
        folder, settings = version.folder, self._settings
        try:
            session, inline_rows, version.has_snapshots = await asyncio.to_thread(self._open, folder)
        except Exception as error:  # an error of one version must not stop the others
            known = isinstance(error, ModelError)
            text = f"{folder.path} cannot be loaded: {type(error).__name__}: {first_line(error)}"
            reason = str(error) if known else text
            version.state, version.reason = State.FAILED, reason
            version.statistics.load_failures += 1
            log.error("model failed", model=folder.name, version=folder.version, reason=reason, exc_info=not known)
            return
        version.loaded_session = session
        version.loaded_batcher = Batcher(
            lambda pixels, hidden, warnings: session.run(pixels, hidden=hidden, warnings=warnings),
            max_batch_rows=settings.max_batch_rows,
            max_queue_rows=settings.max_queue_rows,
            inline_rows=inline_rows,
            executor=self._executor,
            statistics=version.statistics,
        )
        version.state, version.reason = State.READY, ""
        version.statistics.load_seconds = time.perf_counter() - began
        log.info(
            "model ready",
            model=folder.name,
            version=folder.version,
            provider=session.provider,
            sha256=session.sha256[:12],
            **({"variant": folder.variant} if folder.variant else {}),
            inline_rows=inline_rows,
            load_ms=round(version.statistics.load_seconds * 1e3),
        )

    def _open(self, folder: VersionFolder) -> tuple[Session, int, bool]:
        settings = self._settings
        session = load_session(folder, self._providers, settings.threads or usable_cores(), self._cache)
        inline_rows = session.rows_within(settings.inline_us / 1e6, settings.max_batch_rows)
        return session, inline_rows, folder.snapshots.is_file()

    def close(self) -> None:
        """Stop the threads."""
        self._executor.shutdown(wait=False, cancel_futures=True)
