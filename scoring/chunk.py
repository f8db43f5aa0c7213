"""Chunks: the rows of pixels that a reader passes to a scorer, with the errors of bad rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from imaging.pixels import ImageWarning
from imaging.prepare import Prepared
from scoring.messages import shorten

UNKNOWN = -(2**31)
"""The label of a row without a label."""
FOREIGN = UNKNOWN + 1
"""The label of a row whose label is not a class of the model, if labels were not requested."""


class InputError(ValueError):
    """An input is missing, damaged or of a wrong format; the message names it."""

    def __init__(self, message: str) -> None:
        super().__init__(shorten(message))


class PictureError(ValueError):
    """A picture cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class PictureText:
    """What a picture says."""

    text: str
    """Its lines, separated by line feeds; a `?` for a rejected digit, a `.` for an empty field of a grid."""
    score: float
    """0..1, see ReadResponse in digits.proto."""
    digits: int
    """Number of digits."""
    quarter_turns: int
    """By how many quarter turns clockwise it was turned, 0..3."""
    rejected: int
    """Number of rejected digits."""
    codes: tuple[str, ...]
    """Warnings, see `imaging.pixels.WarningCode`."""


class ErrorKind(StrEnum):
    """Kinds of row errors, for counting."""

    NAN = "not a number"
    NEGATIVE = "negative"
    ABOVE = "above the range"
    FRACTION = "no whole number"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    LENGTH = "wrong number of pixels"
    IMAGE = "image that cannot be read"


@dataclass(frozen=True, slots=True)
class RowError:
    """The error of one row."""

    kind: ErrorKind
    message: str
    """Names file, row and column, and what was expected."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", shorten(self.message))


@dataclass(frozen=True, slots=True)
class Shape:
    """The images and labels of a model, as readers need them."""

    rows: int
    """Height in pixels."""
    cols: int
    """Width in pixels."""
    pixel_max: int
    """Pixels lie in 0..pixel_max, at most 255."""
    labels: tuple[int, ...]
    """Possible values of the output `digit`, in the order of the classes; labels of inputs are among them."""
    classes: tuple[str, ...]
    """The names of the same classes, which are valid labels too."""
    prepare: Callable[[bytes], Prepared]
    """Image file -> pixels, uint8 [rows*cols], and warnings; raises `imaging.prepare.ImageError`.

    Several processes decode in parallel if it can be pickled."""

    @property
    def features(self) -> int:
        """Pixels of an image: rows * cols."""
        return self.rows * self.cols


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Rows that are read, scored and stored together. Their borders depend only on the inputs and `chunk_rows`."""

    index: int
    """Position among the job's chunks, from 0."""
    first_row: int
    """Position of its first row among the job's rows, from 0."""
    pixels: NDArray[np.uint8]
    """uint8 [n, rows*cols], C-contiguous, within the range; a row with an error holds zeros."""
    ids: range | Sequence[str]
    """Ids of the rows: row numbers of the job, or names; the same type in all chunks of a job."""
    errors: dict[int, RowError]
    """Errors by row within the chunk."""
    labels: NDArray[np.int32] | None
    """int32 [n]: label of each image, `UNKNOWN` or `FOREIGN` without a valid one; None without labels."""
    warnings: Mapping[int, Sequence[ImageWarning]] = field(default_factory=dict)
    """Warnings of the preparation by row within the chunk, for image files; the sequence may be empty."""
    pictures: Sequence[bytes] | None = None
    """The image files of a job that reads pictures; b"" in a row with an error. Such a chunk has `pixels` [n, 0]."""

    def __len__(self) -> int:
        return len(self.pixels)
