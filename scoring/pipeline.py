"""A job from inputs to output: chunks are read, scored and stored, a bounded number at a time."""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from threading import Lock
from typing import Any, Protocol

import numpy as np

from engine.cpus import usable_cores
from scoring.chunk import Chunk, ErrorKind, InputError, PictureError, PictureText
from scoring.job import Job
from scoring.journal.errors import JournalError
from scoring.journal.journal import Journal
from scoring.options import JobOptions
from scoring.reporting.progress import OnRows, progress, silent
from scoring.reporting.summary import Summary
from scoring.reporting.tally import Tally
from scoring.scorers.scorer import Scorer
from scoring.writers.columns import KIND

# Chunks that are read but not yet stored. Memory holds one more, the one that is being read.
_MAX_IN_FLIGHT = 4
# Threads that write finished chunks to the disk.
_STORE_THREADS = 2


def run_pipeline(options: JobOptions, scorer: Scorer) -> Summary:
    """Run a job, or with `resume` the rest of it.

    Raises `InputError`, `JournalError`, `ScorerError`, a `DigitsError` of a call, or `OSError`. Finished chunks
    stay beside the output after any error; the output appears only when it is complete.
    """
    job = Job(options, scorer.model, threads=usable_cores())
    if options.resume and not job.inputs.replayable:
        raise JournalError("standard input cannot be read a second time, so a job on it cannot be resumed")
    output = str(options.output)
    began = time.perf_counter()
    with Journal.open(options.output, job.fingerprint(), job.columns, resume=options.resume) as journal:
        tally = job.new_tally()
        if journal.finished_tally is not None:
            tally.load(journal.finished_tally)
            journal.clear()
            return tally.summary(output, scorer.how, resumed_rows=tally.rows, seconds=0.0)
        resumed_rows = _tally_finished_chunks(job, journal, tally)
        journal.start_output(options.format, scorer.model.identity)
        with progress(job.inputs.rows, resumed_rows) if options.show else nullcontext(silent) as on_rows:
            _score_chunks(job, ChunkPipeline(job, scorer, journal, tally, on_rows), frozenset(journal.done))
        try:
            job.check_labels(tally)
        except InputError:
            journal.discard = True  # the next run must name other labels, so it is another job
            raise
        assert job.inputs.count is not None
        journal.finish(job.inputs.count, tally.as_json())
    return tally.summary(output, scorer.how, resumed_rows=resumed_rows, seconds=time.perf_counter() - began)


def _tally_finished_chunks(job: Job, journal: Journal, tally: Tally) -> int:
    """Count the chunks of an earlier run; returns their rows."""
    for index in journal.done:
        tally.add(journal.read(index))
    fatal = [kind for kind in tally.errors if not job.records(ErrorKind(kind))]
    if fatal:
        raise JournalError(f"an earlier run recorded rows with errors ({', '.join(fatal)}), so this one must as well")
    return tally.rows


def _score_chunks(job: Job, pipeline: "ChunkPipeline", done: frozenset[int]) -> None:
    try:
        for chunk in job.chunks(done):
            pipeline.put(chunk)
        pipeline.finish()
    except InputError:
        pipeline.finish()  # the chunks before the bad one are valid
        raise
    except BaseException:
        pipeline.abort()
        raise


class ChunkPipeline:
    """Scores and stores chunks, in any order. Each chunk is split into spans of rows, one for a thread."""

    def __init__(self, job: Job, scorer: Scorer, journal: Journal, tally: Tally, on_rows: OnRows) -> None:
        self._job = job
        self._span_rows = 1 if job.options.read else scorer.span_rows  # a picture takes a part of a second
        self._scorer, self._journal, self._tally, self._on_rows = scorer, journal, tally, on_rows
        self._score_threads = ThreadPoolExecutor(scorer.threads, thread_name_prefix="score")
        # Threads of their own, since a thread that waits for the disk does not score.
        self._store_threads = ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="store")
        self._in_flight: deque[_InFlightChunk] = deque()

    def put(self, chunk: Chunk) -> None:
        """Start with a chunk, once fewer than the maximum are in flight. Raises the error of an earlier chunk."""
        while len(self._in_flight) >= _MAX_IN_FLIGHT:
            self._in_flight.popleft().stored.result()
        in_flight = _InFlightChunk(chunk, self._new_results(chunk), self._span_rows)
        self._in_flight.append(in_flight)
        for start in in_flight.span_starts:
            self._score_threads.submit(self._score, in_flight, start)

    def _new_results(self, chunk: Chunk) -> "_Results":
        options = self._job.options
        if options.read:
            return _Texts(chunk, self._job)
        return _Scores(chunk, len(self._scorer.model.card.classes), options.reject_above is not None)

    def finish(self) -> None:
        """Wait until all chunks are stored. Raises the error of the first that failed."""
        try:
            while self._in_flight:
                self._in_flight.popleft().stored.result()
        except BaseException:
            self.abort()
            raise
        self._score_threads.shutdown()
        self._store_threads.shutdown()

    def abort(self) -> None:
        """Stop as soon as possible; chunks that are not stored yet are lost. Idempotent."""
        self._scorer.stop()
        self._score_threads.shutdown(cancel_futures=True)
        self._store_threads.shutdown(cancel_futures=True)

    def _score(self, in_flight: "_InFlightChunk", start: int) -> None:
        if in_flight.stored.done():
            return  # another span of the chunk failed
        try:
            in_flight.results.fill(self._scorer, slice(start, start + self._span_rows))
            if in_flight.span_done():
                self._store_threads.submit(self._store, in_flight)
        except BaseException as error:
            in_flight.fail(error)

    def _store(self, in_flight: "_InFlightChunk") -> None:
        chunk = in_flight.chunk
        try:
            batch = self._journal.write(chunk, *in_flight.results.values)
            self._tally.add(batch)
            self._on_rows(len(chunk), len(batch) - batch.column(KIND).null_count)
            in_flight.free()
            in_flight.stored.set_result(None)
        except BaseException as error:
            in_flight.fail(error)


class _Results(Protocol):
    """What a scorer fills in for a chunk, span by span."""

    @property
    def values(self) -> tuple[Any, ...]:
        """For `Journal.write`."""

    def fill(self, scorer: Scorer, rows: slice) -> None:
        """Score these rows."""


class _Scores:
    """The results of pixels."""

    def __init__(self, chunk: Chunk, classes: int, rejecting: bool) -> None:
        self._pixels = chunk.pixels
        digits, scores = np.empty(len(chunk), np.int64), np.empty((len(chunk), classes), np.float32)
        self.values: tuple[Any, ...] = (digits, scores, *([np.empty(len(chunk), np.float32)] if rejecting else []))

    def fill(self, scorer: Scorer, rows: slice) -> None:
        scorer.score(self._pixels[rows], *(each[rows] for each in self.values))


class _Texts:
    """The results of pictures."""

    def __init__(self, chunk: Chunk, job: Job) -> None:
        self._chunk, self._job = chunk, job
        self._texts: list[PictureText | str | None] = [None] * len(chunk)
        self.values: tuple[Any, ...] = (self._texts,)

    def fill(self, scorer: Scorer, rows: slice) -> None:
        assert self._chunk.pictures is not None
        for row in range(*rows.indices(len(self._chunk))):
            if row in self._chunk.errors:
                continue
            try:
                self._texts[row] = scorer.read(self._chunk.pictures[row], self._job.options.reject_above)
            except PictureError as error:
                if not self._job.records(ErrorKind.IMAGE):
                    raise InputError(f"{self._chunk.ids[row]}: {error}") from None
                self._texts[row] = str(error)


class _InFlightChunk:
    """A chunk between being read and being stored, with its results."""

    def __init__(self, chunk: Chunk, results: _Results, span_rows: int) -> None:
        self.chunk, self.results = chunk, results
        self.span_starts = range(0, len(chunk), span_rows)
        self.stored: Future[None] = Future()
        """Done once the chunk is stored, or has failed."""
        self._spans_left = len(self.span_starts)
        self._lock = Lock()

    def span_done(self) -> bool:
        """Count a span as scored; returns whether it was the last one."""
        with self._lock:
            self._spans_left -= 1
            return self._spans_left == 0

    def fail(self, error: BaseException) -> None:
        """Fail the chunk; the first error counts."""
        with self._lock:
            if not self.stored.done():
                self.stored.set_exception(error)

    def free(self) -> None:
        """Release the arrays; the caller of `put` may still hold this object for `stored`."""
        del self.chunk, self.results
