"""What gives a job its scores: a model in this process or on a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from scoring.chunk import Shape
from scoring.readers.images.decoding import prepare_pixels

MAX_IMAGE_PIXELS = 25_000_000
"""Largest image file that is decoded, as on a server that was told nothing else."""


class ScorerError(Exception):
    """There is no such model, or it is not any more what it was; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Model:
    """The very model that a job's scores are of."""

    card: Card
    sha256: str
    """Of its file, 64 hexadecimal digits."""
    provider: str
    """The execution provider of onnxruntime that runs it."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What is written beside the scores, and what must not change until the job ends."""
        return {
            "name": self.card.name,
            "version": str(self.card.version),
            "sha256": self.sha256,
            "provider": self.provider,
            **({"variant": self.card.variant} if self.card.variant else {}),
        }

    def shape(self) -> Shape:
        """What readers know of it."""
        card = self.card
        prepare = partial(prepare_pixels, card=card, max_image_pixels=MAX_IMAGE_PIXELS)
        return Shape(card.rows, card.cols, card.pixel_max, card.labels, card.classes, prepare)

    def __str__(self) -> str:
        return f"{self.card.name} version {self.card.version} {self.card.variant}".rstrip()


class Scorer(Protocol):
    """Scores rows for several threads at once; used with `with`."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    model: Model
    threads: int
    """How many threads should call `score` at once."""
    span_rows: int
    """How many rows a call of `score` is best given: more are cut into several."""

    @property
    def how(self) -> str:
        """How the scores come, for people."""

    def score(self, pixels: NDArray[np.uint8], digits: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Fill digits [N] and scores [N, classes] for pixels uint8 [N, rows*cols], C-contiguous.

        A row's bytes do not depend on the rows it comes with. Raises `ScorerError`, or a `DigitsError` of a call.
        """

    def stop(self) -> None:
        """Let calls of `score` end soon, with an error; there will be no more."""
