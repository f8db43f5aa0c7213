"""The columns of the table that a job makes, and of the parts it is made from."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from imaging.pixels import ImageWarning, find_warnings
from scoring.chunk import UNKNOWN, Chunk, Kind, Shape

KIND = "kind"
CODES = "codes"
LABEL = "label"
"""Columns that parts have and the finished table has not."""


@dataclass(frozen=True, slots=True)
class Columns:
    """id, digit, a score for each label (score_0, score_1, …), margin, top_1, … where asked for, warnings, error."""

    named: bool
    """Whether ids are text rather than row numbers."""
    shape: Shape
    """What `digit` may be, in the order of the scores, and what pixels look like."""
    top_k: int = 0
    """How many of the best digits a row names, beside all scores."""

    @property
    def table(self) -> pa.Schema:
        """What the finished table holds; all but `id` is null where there is an error, and `error` where none is.

        `warnings` are the sentences on what looks wrong with an image that was scored, null where nothing does.
        """
        return pa.schema(
            [
                pa.field("id", pa.string() if self.named else pa.int64(), nullable=False),
                pa.field("digit", pa.int32()),
                *(pa.field(f"score_{label}", pa.float32()) for label in self.shape.labels),
                pa.field("margin", pa.float32()),
                *(pa.field(f"top_{place}", pa.int32()) for place in range(1, self.top_k + 1)),
                pa.field("warnings", pa.string()),
                pa.field("error", pa.string()),
            ]
        )

    @property
    def part(self) -> pa.Schema:
        """The same with what the summary counts: `kind` (of the error, see `Kind`), `codes` (of the warnings, with
        blanks between) and `label` (what the image shows)."""
        kinds = pa.dictionary(pa.int8(), pa.string())
        more = pa.schema([pa.field(KIND, kinds), pa.field(CODES, pa.string()), pa.field(LABEL, pa.int32())])
        return pa.unify_schemas([self.table, more])

    def batch(self, chunk: Chunk, digits: NDArray[np.integer], scores: NDArray[np.float32]) -> pa.RecordBatch:
        """A scored chunk: digits [n], scores [n, classes]; rows with an error are blanked."""
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
        sentences, codes = _warnings(chunk, self.shape)
        errors, kinds = _errors(chunk)
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


_KINDS = list(Kind)


def _errors(chunk: Chunk) -> tuple[pa.Array, pa.Array]:
    """The columns error and kind."""
    if not chunk.errors:
        kinds = pa.DictionaryArray.from_arrays(pa.nulls(len(chunk), pa.int8()), pa.array(_KINDS, pa.string()))
        return pa.nulls(len(chunk), pa.string()), kinds
    found = [chunk.errors.get(row) for row in range(len(chunk))]
    positions = pa.array([None if error is None else _KINDS.index(error.kind) for error in found], pa.int8())
    sentences = pa.array([None if error is None else _plain(error.sentence) for error in found], pa.string())
    return sentences, pa.DictionaryArray.from_arrays(positions, pa.array(_KINDS, pa.string()))


def _warnings(chunk: Chunk, shape: Shape) -> tuple[pa.Array, pa.Array]:
    """The columns warnings and codes: what Classify warns of, of rows without an error."""
    found: dict[int, list[ImageWarning]] = {}
    for row, warning in find_warnings(chunk.pixels, shape):
        if row not in chunk.errors:
            found.setdefault(row, []).append(warning)
    if not found:
        return pa.nulls(len(chunk), pa.string()), pa.nulls(len(chunk), pa.string())
    rows = [found.get(row) for row in range(len(chunk))]
    sentences = [None if each is None else "; ".join(warning.sentence for warning in each) for each in rows]
    codes = [None if each is None else " ".join(warning.code for warning in each) for each in rows]
    return pa.array(sentences, pa.string()), pa.array(codes, pa.string())


def _plain(sentence: str) -> str:
    """The sentence with each byte of a file's name that is no UTF-8 as \\xff, for a table is UTF-8."""
    return sentence.encode(errors="surrogateescape").decode(errors="backslashreplace")
