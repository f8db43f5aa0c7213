"""The settings that the repository needs; `service.config.Settings` has them too."""

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
        """Model of requests that name none; empty: chosen among the existing ones."""

    @property
    def model_control(self) -> Literal["none", "poll", "explicit"]:
        """Whether models change while they serve."""

    @property
    def load(self) -> Literal["all", "lazy"]:
        """Which models are loaded at the start: all, or the default one."""

    @property
    def poll_seconds(self) -> float:
        """Seconds between two checks of the folder, for `poll`."""

    @property
    def variants(self) -> Mapping[str, Variant]:
        """The variant to serve, by model."""

    @property
    def provider(self) -> Literal["auto", "cpu", "cuda"]:
        """The execution provider of onnxruntime."""

    @property
    def require_provider(self) -> bool:
        """Whether every model must run on it."""

    @property
    def cuda_device(self) -> int:
        """Index of the GPU."""

    @property
    def cuda_memory_mb(self) -> int:
        """GPU memory limit of each model version, MiB; 0: no limit."""

    @property
    def threads(self) -> int:
        """Threads of one run; 0: as many as there are usable cores."""

    @property
    def inline_us(self) -> int:
        """Microseconds: shorter runs happen on the event loop."""

    @property
    def weights_cache(self) -> str:
        """The folder of `engine.models.weights_cache`; empty: the user's cache, `none`: no cache."""

    @property
    def max_batch_rows(self) -> int:
        """Most images in one run."""

    @property
    def max_queue_rows(self) -> int:
        """Most images that wait for each version."""
