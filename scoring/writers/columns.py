"""The columns of the output and of the chunks in the journal."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imaging.pixels import ImageWarning, find_warnings
from scoring.chunk import UNKNOWN, Chunk, ErrorKind, RowError, Shape

REJECTED = "rejected"
"""What is above `reject_above`: in a row whether it is, for pictures the number of digits."""
KIND = "kind"
CODES = "codes"
LABEL = "label"
"""Columns of the chunks in the journal that the output lacks."""


@dataclass(frozen=True, slots=True)
class Columns:
    """id, digit, a score for each label (score_0, score_1, …), margin, top_1, … on request, warnings, error."""

    named: bool
    """Whether ids are text rather than row numbers."""
    shape: Shape
    """Possible values of `digit` in the order of the scores, and the form of the pixels."""
    top_k: int = 0
    """Number of best digits of a row, in columns beside all scores."""
    reject_above: float | None = None
    """Chance of no digit above which a row is rejected; None: the table has neither the chance nor this."""

    @property
    def table(self) -> pa.Schema:
        """The columns of the output. In rows with an error all but `id` are null, in other rows `error` is.

        `warnings` are the sentences on what looks wrong with an image that was scored, null where nothing does.
        """
        return pa.schema(
            [
                pa.field("id", pa.string() if self.named else pa.int64(), nullable=False),
                pa.field("digit", pa.int32()),
                *(pa.field(f"score_{label}", pa.float32()) for label in self.shape.labels),
                pa.field("margin", pa.float32()),
                *(pa.field(f"top_{place}", pa.int32()) for place in range(1, self.top_k + 1)),
                *self._rejection,
                pa.field("warnings", pa.string()),
                pa.field("error", pa.string()),
            ]
        )

    @property
    def part(self) -> pa.Schema:
        """The same with the columns for the summary: `kind` (see `ErrorKind`), `codes` (of the warnings, separated by
        blanks) and `label`."""
        kinds = pa.dictionary(pa.int8(), pa.string())
        more = pa.schema([pa.field(KIND, kinds), pa.field(CODES, pa.string()), pa.field(LABEL, pa.int32())])
        return pa.unify_schemas([self.table, more])

    @property
    def _rejection(self) -> list[pa.Field]:
        return (
            [] if self.reject_above is None else [pa.field("not_a_digit", pa.float32()), pa.field(REJECTED, pa.bool_())]
        )

    def batch(
        self,
        chunk: Chunk,
        digits: NDArray[np.integer],
        scores: NDArray[np.float32],
        chances: NDArray[np.float32] | None = None,
    ) -> pa.RecordBatch:
        """A scored chunk: digits [n], scores [n, classes], with `reject_above` chances of no digit [n].

        Rows with an error are blanked.
        """
        count = len(chunk)
        if digits.shape != (count,) or scores.shape != (count, len(self.shape.labels)):
            raise ValueError(f"scores of the shape {list(scores.shape)}, expected [{count}, {len(self.shape.labels)}]")
        blank = None
        if chunk.errors:
            blank = np.zeros(count, np.bool_)
            blank[list(chunk.errors)] = True
        by_class = np.ascontiguousarray(scores.T, np.float32)
        columns = [digits.astype(np.int32, copy=False), *by_class, margins(by_class)]
        if self.top_k:
            best = np.argsort(-scores, axis=1, kind="stable")[:, : self.top_k]
            columns += list(np.array(self.shape.labels, np.int32)[best].T)
        if self.reject_above is not None:
            assert chances is not None
            columns += [chances, chances > self.reject_above]
        sentences, codes = _warnings(chunk, self.shape)
        errors, kinds = error_columns(chunk.errors, count)
        unlabelled = None if chunk.labels is None else chunk.labels == UNKNOWN
        return pa.RecordBatch.from_arrays(
            [
                self._ids(chunk),
                *(pa.array(column, mask=blank) for column in columns),
                sentences,
                errors,
                kinds,
                codes,
                pa.nulls(count, pa.int32()) if chunk.labels is None else pa.array(chunk.labels, mask=unlabelled),
            ],
            schema=self.part,
        )

    def _ids(self, chunk: Chunk) -> pa.Array:
        if self.named:
            return pa.array(chunk.ids, pa.string())
        assert isinstance(chunk.ids, range)
        return pa.array(np.arange(chunk.ids.start, chunk.ids.stop, dtype=np.int64))


def margins(by_class: NDArray[np.float32]) -> NDArray[np.float32]:
    """Best score minus second best, float32 [n], of scores [classes, n] of at least two classes."""
    best: NDArray[np.float32] = np.maximum(by_class[0], by_class[1])
    second = np.minimum(by_class[0], by_class[1])
    for scores in by_class[2:]:
        np.maximum(second, np.minimum(best, scores), out=second)
        np.maximum(best, scores, out=best)
    best -= second
    return best


_KINDS = list(ErrorKind)


def error_columns(errors: Mapping[int, RowError], count: int) -> tuple[pa.Array, pa.Array]:
    """The columns error and kind of so many rows."""
    if not errors:
        kinds = pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int8()), pa.array(_KINDS, pa.string()))
        return pa.nulls(count, pa.string()), kinds
    found = [errors.get(row) for row in range(count)]
    positions = pa.array([None if error is None else _KINDS.index(error.kind) for error in found], pa.int8())
    sentences = pa.array([None if error is None else _plain(error.message) for error in found], pa.string())
    return sentences, pa.DictionaryArray.from_arrays(positions, pa.array(_KINDS, pa.string()))


def _warnings(chunk: Chunk, shape: Shape) -> tuple[pa.Array, pa.Array]:
    """The columns warnings and codes of rows without an error, as in Classify."""
    found: dict[int, dict[ImageWarning, None]] = {
        row: dict.fromkeys(each) for row, each in chunk.warnings.items() if each
    }
    for row, warning in find_warnings(chunk.pixels, shape):
        if row not in chunk.errors:
            found.setdefault(row, {})[warning] = None
    if not found:
        return pa.nulls(len(chunk), pa.string()), pa.nulls(len(chunk), pa.string())
    rows = [found.get(row) for row in range(len(chunk))]
    sentences = [None if each is None else "; ".join(warning.sentence for warning in each) for each in rows]
    codes = [None if each is None else " ".join(warning.code for warning in each) for each in rows]
    return pa.array(sentences, pa.string()), pa.array(codes, pa.string())


def _plain(message: str) -> str:
    """The message as UTF-8: a byte of a file name that is not UTF-8 becomes \\xff."""
    return message.encode(errors="surrogateescape").decode(errors="backslashreplace")
