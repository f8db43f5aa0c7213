"""What goes from a reader to a scorer: some rows of pixels, with what was wrong with any of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from scoring.sentences import brief

UNKNOWN = -(2**31)
"""In place of the label of a row that has none."""
FOREIGN = UNKNOWN + 1
"""In place of one that means no class of the model, where labels were not asked for."""


class InputError(ValueError):
    """An input as a whole is missing, damaged or not what it should be; the message is a sentence that names it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(brief(sentence))


class Kind(StrEnum):
    """What is wrong with a row, for counting."""

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
    """What is wrong with one row."""

    kind: Kind
    sentence: str
    """Names file, row and column, and what was expected."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentence", brief(self.sentence))


@dataclass(frozen=True, slots=True)
class Shape:
    """The images that a model takes, which is all that readers know of it."""

    rows: int
    """Height in pixels."""
    cols: int
    """Width in pixels."""
    pixel_max: int
    """Pixels lie in 0..pixel_max, at most 255."""
    labels: tuple[int, ...]
    """What the output `digit` may be, in the order of the classes; a label of an input is one of these."""
    classes: tuple[str, ...]
    """The names of the same classes, which may stand for a label as well."""
    prepare: Callable[[bytes], NDArray[np.uint8]]
    """An image file of any kind -> its pixels, uint8 [rows*cols]; raises `imaging.prepare.ImageError`.

    Several processes decode at once where it can be pickled, see `scoring.readers.images.decoding.prepare_pixels`."""

    @property
    def features(self) -> int:
        """Pixels of an image: rows * cols."""
        return self.rows * self.cols


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some rows on their way; borders depend on the inputs and the rows wanted for a chunk, on nothing else."""

    index: int
    """Position among the job's chunks, from 0."""
    first_row: int
    """Position of its first row among the job's rows, from 0."""
    pixels: NDArray[np.uint8]
    """uint8 [n, rows*cols], C-contiguous, within the range; a row with an error holds zeros."""
    ids: range | Sequence[str]
    """What each row is called: the job's row numbers, or names; all chunks of a job alike."""
    errors: dict[int, RowError]
    """What is wrong, by row within the chunk."""
    labels: NDArray[np.int32] | None
    """int32 [n]: what each image shows, `UNKNOWN` or `FOREIGN` where that is not known; None without labels."""

    def __len__(self) -> int:
        return len(self.pixels)
