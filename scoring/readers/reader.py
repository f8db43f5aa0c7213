"""What every format gives: rows in blocks, cheap to pass over where the format allows it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imaging.pixels import ImageWarning
from scoring.chunk import RowError

Wanted = Callable[[int], bool]
"""Whether the block at this position is needed or skipped."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive rows of one input."""

    pixels: NDArray[np.uint8]
    """uint8 [n, rows*cols], C-contiguous, within the range; a row with an error holds zeros."""
    errors: dict[int, RowError] = field(default_factory=dict)
    """By row within the block."""
    warnings: Mapping[int, Sequence[ImageWarning]] = field(default_factory=dict)
    """See `Chunk`."""
    names: Sequence[str] | None = None
    """For readers that are `named`: what each row is called."""
    labels: NDArray[np.int32] | None = None
    """int32 [n], `UNKNOWN` where there is none; None when the input carries no labels."""
    pictures: Sequence[bytes] | None = None
    """See `Chunk`."""

    def __len__(self) -> int:
        return len(self.pixels)


class Reader(Protocol):
    """One input."""

    path: str
    """As it was given."""
    named: bool
    """Whether rows go by names rather than by numbers."""
    labelled: bool
    """Whether blocks come with labels."""
    encoded: bool
    """Whether rows are image files, which take long to decode."""
    rows: int | None
    """How many there are, where that is cheap to know."""

    def fingerprint(self) -> dict[str, Any]:
        """What stays the same as long as the input does, for JSON."""

    def blocks(self, rows: int, wanted: Wanted) -> Iterator[Block | int]:
        """All blocks of `rows` rows, the last one shorter, in order; in place of one not wanted its number of rows.

        Raises `InputError` for a damaged input.
        """
