"""The model in this process, on all usable cores or on a GPU."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from artifact.card import Variant
from artifact.store import LayoutError, VersionFolder, default_model, find_versions
from engine.cpus import usable_cores
from engine.models.providers import CPU, candidates
from engine.models.session import InferenceResult, ModelError, load_session
from engine.models.version_policy import PolicyError, read_policy
from scoring.chunk import PictureText
from scoring.scorers.pictures import read_picture
from scoring.scorers.scorer import Model, ScorerError

ProviderName = Literal["cpu", "cuda", "auto"]

# Rows of one run. On the CPU enough to make the cost of a run negligible, and few enough to keep hidden layers and the
# pixels as floats in a core's cache; on a GPU enough to keep it busy.
_RUN_ROWS = {CPU: 512}
_GPU_RUN_ROWS = 16_384
# One thread copies while the run of the other is computed.
_GPU_THREADS = 2
_SPAN_RUNS = 16


class LocalScorer:
    """A session with one thread for each run, called from as many threads as there are cores."""

    def __init__(
        self,
        models: Path,
        *,
        name: str = "",
        version: str = "",
        provider: ProviderName = "auto",
        require_provider: bool = False,
        threads: int = 0,
        variant: Variant = "",
    ) -> None:
        """Load a version from the folder `models` and check it against its golden rows, as a server does.

        An empty `name` means the default model, an empty `version` the newest that the model's policy serves.
        `threads` 0: one for each usable core on the CPU. `variant` is a faster one of the version, `int8` or `fp16`.
        Raises `ScorerError`.
        """
        folder = replace(_find(models, name, version), variant=variant)
        tried = candidates(provider)
        try:
            self._session = load_session(folder, tried[:1] if require_provider else tried, threads=1)
        except ModelError as error:
            raise ScorerError(str(error)) from None
        self.model = Model(self._session.card, self._session.sha256, self._session.provider)
        on_cpu = self._session.provider == CPU
        self._run_rows = _RUN_ROWS.get(self._session.provider, _GPU_RUN_ROWS)
        self.threads = threads or (usable_cores() if on_cpu else _GPU_THREADS)
        self.span_rows = _SPAN_RUNS * self._run_rows
        cores = f" on {self.threads} core{'s' * (self.threads > 1)}" if on_cpu else ""
        self.how = f"in this process, {self._session.provider}{cores}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def stop(self) -> None:
        """Nothing to do: a call takes milliseconds."""

    def score(
        self,
        pixels: NDArray[np.uint8],
        digits: NDArray[np.int64],
        scores: NDArray[np.float32],
        chances: NDArray[np.float32] | None = None,
    ) -> None:
        """As `Scorer.score`."""
        for start in range(0, len(pixels), self._run_rows):
            rows = slice(start, start + self._run_rows)
            scored = self._run(pixels[rows])
            digits[rows] = scored.labels
            scores[rows] = scored.scores
            if chances is not None:
                assert scored.not_a_digit is not None
                chances[rows] = scored.not_a_digit

    def read(self, picture: bytes, reject_above: float | None) -> PictureText:
        """As `Scorer.read`."""
        return read_picture(picture, self.model.card, self._run, reject_above)

    def _run(self, pixels: NDArray[np.uint8]) -> InferenceResult:
        try:
            return self._session.run(pixels, warnings=False)
        except Exception as error:  # the errors of onnxruntime have no common base class
            raise ScorerError(f"onnxruntime failed on {self.model}: {error}") from error


def _find(models: Path, name: str, version: str) -> VersionFolder:
    try:
        found = find_versions(models)
        names = list(dict.fromkeys(folder.name for folder in found))
        if not names:
            raise ScorerError(f"models folder {models} holds no model, expected <name>/<version>/model.onnx in it")
        name = name or default_model(names)
        if name not in names:
            raise ScorerError(f"there is no model {name!r} in {models}; there is {', '.join(names)}")
        policy = read_policy(models / name)
    except (LayoutError, PolicyError) as error:
        raise ScorerError(str(error)) from None
    versions = [folder for folder in found if folder.name == name and policy.wants(folder.version)]
    chosen = [folder for folder in versions if version in ("", str(folder.version))]
    if not chosen:
        has = ", ".join(str(folder.version) for folder in versions) or "none that may be served"
        raise ScorerError(f"model {name} has no version {version!r}; it has {has}")
    return chosen[-1]
