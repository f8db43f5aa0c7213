"""The settings that the repository needs; `service.config.Settings` has them among others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from artifact.card import Variant


class EngineSettings(Protocol):
    """See the fields of the same names in `service.config`, which have units and bounds."""

    @property
    def models(self) -> Path:
        """The folder with the models."""

    @property
    def default_model(self) -> str:
        """The name that an empty one means; empty: chosen among those that are there."""

    @property
    def model_control(self) -> Literal["none", "poll", "explicit"]:
        """Whether models change while they serve."""

    @property
    def poll_seconds(self) -> float:
        """Seconds between two looks at the folder, for `poll`."""

    @property
    def variants(self) -> Mapping[str, Variant]:
        """The faster variant that is wanted, by model."""

    @property
    def provider(self) -> Literal["auto", "cpu", "cuda"]:
        """The execution provider of onnxruntime."""

    @property
    def require_provider(self) -> bool:
        """Whether every model must run on it."""

    @property
    def cuda_device(self) -> int:
        """Which GPU."""

    @property
    def cuda_memory_mb(self) -> int:
        """MiB of its memory that each model may take; 0: no limit."""

    @property
    def threads(self) -> int:
        """Threads of one run; 0: as many as there are usable cores."""

    @property
    def inline_us(self) -> int:
        """Microseconds: shorter runs happen on the event loop."""

    @property
    def max_batch_rows(self) -> int:
        """Images in one run."""

    @property
    def max_queue_rows(self) -> int:
        """Images that may wait for each version."""
