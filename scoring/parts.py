"""The journal of a job: a folder beside the output that holds every finished chunk, whole or not at all."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scoring.chunk import Chunk
from scoring.writers.columns import Columns
from scoring.writers.write import Format


class PartsError(Exception):
    """The job cannot begin, go on or end; the message is a sentence that says why and what to do."""


class Parts:
    """OUTPUT.parts/: job.json and one Arrow file for each finished chunk. Used with `with`; it holds a lock."""

    done: set[int]
    """Indices of the finished chunks."""
    complete: bool
    """Whether the output stands already, finished by a run that was killed while it cleared up."""

    @classmethod
    def open(cls, output: Path, job: Mapping[str, Any], columns: Columns, *, resume: bool) -> Self:
        """Begin, or with `resume` go on where an earlier run of the same job was interrupted.

        `job` is all that decides the bytes of the output, for JSON: fingerprints of the inputs, model, options
        (nested mappings; the sentence on a difference names its key). Raises `PartsError` when the output
        exists, another run is at it, parts lie there and `resume` was not said, or they are another job's;
        `OSError` when the folder cannot be written to.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the lock; parts stay where they are."""

    def write(self, chunk: Chunk, digits: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Keep a scored chunk: digits [n], scores [n, classes]; rows with an error are blanked.

        From any thread, in any order. Raises `OSError`.
        """
        raise NotImplementedError

    def batches(self, count: int) -> Iterator[pa.RecordBatch]:
        """The parts 0..count-1 in order, each with the columns of `Columns.part`. Raises `PartsError`."""
        raise NotImplementedError

    def finish(self, count: int, format_: Format, metadata: Mapping[str, str]) -> None:
        """Make the output of the parts 0..count-1, put it in its place at once and remove the parts.

        Raises `PartsError` when a part is missing or the output came to exist meanwhile, and `OSError`.
        """
        raise NotImplementedError
