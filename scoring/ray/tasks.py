"""Code of Ray's workers: tasks read chunks, and actors score each chunk into its own file."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scoring.chunk import Chunk, InputError
from scoring.job import Job
from scoring.options import JobOptions
from scoring.scorers.in_process import LocalScorer
from scoring.scorers.open import open_local_scorer
from scoring.scorers.scorer import Model, ScorerError
from scoring.writers.columns import CODES, KIND, LABEL, Columns
from scoring.writers.write import write_table

Row = dict[str, Any]

# Columns that a tally counts.
_TALLY_COLUMNS = (KIND, CODES, LABEL, "digit", "margin")
# Errors that end the job with a message. Ray shows all others with a traceback.
_EXPECTED_ERRORS = (InputError, ScorerError, OSError)


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive chunks, which one task reads. A container of the indices outside of it, for `Job.chunks`."""

    first: int
    stop: int | None
    """The index after the last chunk; None: to the end of the inputs."""

    def __contains__(self, index: Any) -> bool:
        return index < self.first or (self.stop is not None and index >= self.stop)


class ReadSpan:
    """A task: reads the chunks of a span, each as one row, so that Ray never splits a chunk."""

    def __init__(self, options: JobOptions, model: Model) -> None:
        self._options, self._model = options, model

    def __call__(self, row: Row) -> Iterator[Row]:
        """A row for each chunk of the span of `row`, or one with the error."""
        span: Span = pickle.loads(row["span"])  # noqa: S301 made by `score_on_ray`
        try:
            for chunk in Job(self._options, self._model).chunks(span):
                yield {"chunk": pickle.dumps(chunk), "error": b""}
                if chunk.index + 1 == span.stop:
                    break
        except _EXPECTED_ERRORS as error:
            yield {"chunk": b"", "error": pickle.dumps(error)}


class ScoreChunk:
    """An actor: holds the model, scores a chunk and writes its file."""

    def __init__(self, options: JobOptions, named: bool, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._scorer: LocalScorer | ScorerError
        try:
            self._scorer = open_local_scorer(options, threads=1)
        except ScorerError as error:  # raised for each chunk: Ray restarts an actor whose constructor fails
            self._scorer = error
            return
        self._columns = Columns(named, self._scorer.model.shape(), options.top_k)

    def __call__(self, row: Row) -> Row:
        """The results of the chunk of `row` for `score_on_ray`, or its error."""
        if row["error"]:
            return _error_row(row["error"])
        try:
            if isinstance(self._scorer, ScorerError):
                raise self._scorer
            return self._score(self._scorer, pickle.loads(row["chunk"]))  # noqa: S301 made by `ReadSpan`
        except _EXPECTED_ERRORS as error:
            return _error_row(pickle.dumps(error))

    def _score(self, scorer: LocalScorer, chunk: Chunk) -> Row:
        digits = np.empty(len(chunk), np.int64)
        scores = np.empty((len(chunk), len(scorer.model.card.classes)), np.float32)
        scorer.score(chunk.pixels, digits, scores)
        batch = self._columns.batch(chunk, digits, scores)
        path = self._folder / f"part-{chunk.index:06d}.{self._options.format}"
        temporary = path.with_suffix(".tmp")  # Ray may repeat a lost chunk while its file is still being written
        write_table([batch], temporary, self._options.format, self._columns.table, scorer.model.identity)
        temporary.rename(path)
        names = [name for name in batch.schema.names if name in _TALLY_COLUMNS or name.startswith("top_")]
        return {
            "error": b"",
            "identity": f"{scorer.model}, {scorer.model.sha256}, on {scorer.model.provider}",
            "provider": scorer.model.provider,
            "tally_columns": _to_bytes(batch.select(names)),
        }


def read_tally_columns(row: Row) -> pa.RecordBatch:
    """The columns of a scored chunk that a tally counts."""
    with pa.ipc.open_stream(row["tally_columns"]) as reader:
        return reader.read_next_batch()


def _to_bytes(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _error_row(error: bytes) -> Row:
    return {"error": error, "identity": "", "provider": "", "tally_columns": b""}
