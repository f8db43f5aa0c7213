"""One version of one model, as the repository holds it."""

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from artifact.store import LayoutError, VersionFolder
from engine.errors import NotReady
from engine.models.batcher import Batcher
from engine.models.session import Session
from engine.statistics import Statistics


class State(Enum):
    """Whether a version answers."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    UNLOADED = "unloaded"
    ON_DEMAND = "on demand"
    """Not loaded yet: the first call for the model loads it."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Version:
    """One version of one model; it has a session and a batcher once it is ready.

    A call keeps the version that it found. When another replaces it, the session is freed after the last such call.
    """

    folder: VersionFolder
    fingerprint: Any = None
    """Fingerprint of its files."""
    state: State = State.LOADING
    reason: str = "the model is being loaded"
    """Why it is not ready; for a ready one, why a changed file on disk did not take its place, or empty."""
    has_snapshots: bool = False
    """Whether snapshots of its training lay beside the model when it was loaded."""
    loaded_session: Session | None = None
    loaded_batcher: Batcher | None = None
    statistics: Statistics = field(default_factory=Statistics)
    """Counters of all versions that were loaded under its name and number."""

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.folder.name

    @property
    def version(self) -> str:
        """The version in decimal, as requests write it."""
        return str(self.folder.version)

    @property
    def answers(self) -> bool:
        """Whether calls for it are answered, at once or after it was loaded for the first of them."""
        return self.state in (State.READY, State.ON_DEMAND)

    @property
    def session(self) -> Session:
        """The loaded model. Raises `NotReady`."""
        if self.loaded_session is None:
            raise self.not_ready()
        return self.loaded_session

    def read_served(self) -> bytes:
        """The model's file, as long as it is still the one that serves. Raises `NotReady`."""
        sha256 = self.session.sha256
        try:
            model = self.folder.read_onnx()
        except LayoutError:
            model = b""
        if hashlib.sha256(model).hexdigest() != sha256:
            raise NotReady(
                f"{self.folder.onnx.name} of {self.name} version {self.version} on disk is no longer the one that "
                "serves"
            )
        return model

    @property
    def batcher(self) -> Batcher:
        """The batcher of its session. Raises `NotReady`."""
        if self.loaded_batcher is None:
            raise self.not_ready()
        return self.loaded_batcher

    def not_ready(self) -> NotReady:
        """Why a call cannot be answered."""
        return NotReady(f"model {self.name} version {self.version} is not ready: {self.reason}")
