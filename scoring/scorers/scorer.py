"""The interface of scorers: a model in this process or on a server."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from imaging.prepare import prepare
from scoring.chunk import PictureText, Shape

MAX_IMAGE_PIXELS = 25_000_000
"""Pixels of the largest image file that is decoded, the default of a server."""


class ScorerError(Exception):
    """The model does not exist, cannot run, or has changed during the job; the message says which."""


@dataclass(frozen=True, slots=True)
class Model:
    """The model that scores a job."""

    card: Card
    sha256: str
    """Of its file, 64 hexadecimal digits."""
    provider: str
    """The execution provider of onnxruntime that runs it."""

    @property
    def identity(self) -> Mapping[str, str]:
        """Metadata of the output, which must stay the same until the job ends."""
        return {
            "name": self.card.name,
            "version": str(self.card.version),
            "sha256": self.sha256,
            "provider": self.provider,
            **({"variant": self.card.variant} if self.card.variant else {}),
        }

    def shape(self) -> Shape:
        """The properties of the model that readers need."""
        card = self.card
        prepare_image = partial(prepare, form=card, max_image_pixels=MAX_IMAGE_PIXELS)
        return Shape(card.rows, card.cols, card.pixel_max, card.labels, card.classes, prepare_image)

    def __str__(self) -> str:
        return f"{self.card.name} version {self.card.version} {self.card.variant}".rstrip()


class Scorer(Protocol):
    """Scores rows, called from several threads; a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    model: Model
    threads: int
    """Recommended number of threads that call `score`."""
    span_rows: int
    """Recommended rows of a call of `score`; it splits more into several runs or calls."""

    @property
    def how(self) -> str:
        """Where the scores are computed, for people."""

    def score(
        self,
        pixels: NDArray[np.uint8],
        digits: NDArray[np.int64],
        scores: NDArray[np.float32],
        chances: NDArray[np.float32] | None = None,
    ) -> None:
        """Fill digits [N] and scores [N, classes] for pixels uint8 [N, rows*cols], C-contiguous.

        With `chances` [N], the chances that there is no digit are filled in too. The scores of a row do not depend on
        the other rows. Raises `ScorerError`, or a `DigitsError` of a call.
        """

    def read(self, picture: bytes, reject_above: float | None) -> PictureText:
        """What an image file says. Raises `PictureError` as well."""

    def stop(self) -> None:
        """Make running calls of `score` and `read` fail soon; none may follow."""
