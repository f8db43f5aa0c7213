"""One job: chunks are read, scored and kept, a bounded number at a time, and become the output at the end."""

import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal, get_args

import numpy as np

from engine.cpus import usable_cores
from scoring.chunk import Chunk, InputError, Kind
from scoring.journal import Journal, JournalError
from scoring.options import check_choice, check_text, read_count, read_path, read_paths
from scoring.progress import OnRows, progress, silent
from scoring.readers.labels import NONE
from scoring.readers.open import Inputs, open_inputs
from scoring.scorers.scorer import Model, Scorer
from scoring.sentences import some
from scoring.summary import Summary, Tally
from scoring.writers.columns import Columns
from scoring.writers.write import FORMATS, Format, format_of

OnError = Literal["fail", "record"]

CHUNK_ROWS = 16_384
"""Rows that are read, scored and kept together unless a job says otherwise."""
IMAGE_CHUNK_ROWS = 1_024
"""The same where some of the inputs are image files, which take their time."""
# Chunks that are read but not yet kept. One is being read beside them, so memory holds one more.
_IN_FLIGHT = 4
# Threads that bring finished chunks onto the disk.
_KEEPERS = 2


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be scored, and what becomes of it."""

    inputs: tuple[str, ...]
    output: Path
    format_: Format
    pixels: str | None = None
    """Where in the inputs the pixels are, see `scoring.readers.open.RULES`."""
    labels: str | None = None
    """Where the labels are, likewise."""
    top_k: int = 0
    """How many of the best digits a row names beside all scores."""
    chunk_rows: int | None = None
    """Rows that are read, scored and kept together; None: as many as suit the inputs."""
    on_error: OnError | None = None
    """What a bad row does; None: an image file that cannot be read is recorded, everything else fails."""

    def rows_at_once(self, inputs: Inputs) -> int:
        """Rows of a chunk."""
        return self.chunk_rows or (IMAGE_CHUNK_ROWS if inputs.encoded else CHUNK_ROWS)

    def described(self, inputs: Inputs, model: Model) -> Mapping[str, Any]:
        """All that decides the bytes of the output: a run that is resumed must find the same."""
        return {
            "inputs": inputs.fingerprint(),
            "model": dict(model.identity),
            "options": {
                "pixels": self.pixels,
                "labels": self.labels,
                "top_k": self.top_k,
                "chunk_rows": self.rows_at_once(inputs),
                "format": self.format_,
            },
        }

    def check_model(self, model: Model) -> None:
        """Raise `ValueError` for an option that does not go with the model."""
        if self.top_k > len(model.card.classes):
            raise ValueError(f"top_k is {self.top_k}, and {model} has {len(model.card.classes)} classes")

    def check_labels(self, tally: Tally) -> None:
        """Raise `InputError` where labels were asked for and no row with scores has one."""
        found = tally.summary("", "", resumed_rows=0, seconds=0.0)
        if self.labels not in (None, NONE) and not found.labelled and found.rows > found.failed:
            raise InputError(
                f"{some(self.inputs)}: labels {self.labels} were asked for, and no row with scores has one, "
                "expected some; name others by --labels, or leave it out"
            )

    def check(self, chunk: Chunk) -> None:
        """Raise `InputError` for a row that must end the job."""
        for row in sorted(chunk.errors):
            error = chunk.errors[row]
            if not self.records(error.kind):
                raise InputError(error.sentence)

    def records(self, kind: Kind) -> bool:
        """Whether a row with such an error gets it in the table, rather than end the job."""
        return self.on_error == "record" or (self.on_error is None and kind is Kind.IMAGE)


def make_job(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    format_: Format | None,
    pixels: str | None,
    labels: str | os.PathLike[str] | None,
    top_k: int,
    chunk_rows: int | None,
    on_error: OnError | None,
) -> Job:
    """The job, once its options are found to be ones. Raises `ValueError` or `TypeError` that names the option."""
    paths = read_paths("inputs", inputs)
    path = Path(read_path("output", output))
    form = format_of(path) if format_ is None else format_
    if form is None:
        raise ValueError(f"{path} ends in no format's name, expected one of {', '.join(FORMATS)}, or the format said")
    check_choice("format", form, FORMATS)
    if pixels is not None:
        check_text("pixels", pixels)
    if on_error is not None:
        check_choice("on_error", on_error, get_args(OnError))
    return Job(
        inputs=paths,
        output=path,
        format_=form,
        pixels=pixels,
        labels=None if labels is None else read_path("labels", labels, "a name or a path"),
        top_k=read_count("top_k", top_k, 0),
        chunk_rows=None if chunk_rows is None else read_count("chunk_rows", chunk_rows, 1),
        on_error=on_error,
    )


def run(job: Job, scorer: Scorer, *, resume: bool = False, show: bool = False) -> Summary:
    """Do the job, or with `resume` what is left of it; `show` its progress on stderr.

    Raises `InputError`, `JournalError`, `ScorerError`, a `DigitsError` of a call, or `OSError`. Whatever
    ends it, finished chunks stay beside the output, which is not there before it is whole.
    """
    model = scorer.model
    shape = model.shape()
    inputs = open_inputs(job.inputs, shape, pixels=job.pixels, labels=job.labels, threads=usable_cores())
    if resume and not inputs.replayable:
        raise JournalError("standard input cannot be read a second time, so a job on it cannot be resumed")
    job.check_model(model)
    columns = Columns(inputs.named, shape, job.top_k)
    began = time.perf_counter()
    with Journal.open(job.output, job.described(inputs, model), columns, resume=resume) as parts:
        tally = Tally(model, inputs.labelled, job.top_k)
        if parts.complete is not None:
            tally.load(parts.complete)
            parts.clear()
            return tally.summary(str(job.output), scorer.how, resumed_rows=tally.rows, seconds=0.0)
        for index in parts.done:
            tally.add(parts.read(index))
        resumed_rows = tally.rows
        fatal = [kind for kind in tally.errors if not job.records(Kind(kind))]
        if fatal:
            raise JournalError(
                f"an earlier run recorded rows with errors ({', '.join(fatal)}), so this one must as well"
            )
        parts.make_output(job.format_, model.identity)
        with progress(inputs.rows, resumed_rows) if show else nullcontext(silent) as on_rows:
            line = _Pipeline(scorer, parts, tally, on_rows)
            try:
                for chunk in inputs.chunks(job.rows_at_once(inputs), frozenset(parts.done)):
                    job.check(chunk)
                    line.put(chunk)
                line.finish()
            except InputError:
                line.finish()  # what was read before it is good
                raise
            except BaseException:
                line.abandon()
                raise
        try:
            job.check_labels(tally)
        except InputError:
            parts.worthless = True  # another job has to say which labels are meant
            raise
        assert inputs.count is not None
        parts.finish(inputs.count, tally.as_json())
    return tally.summary(str(job.output), scorer.how, resumed_rows=resumed_rows, seconds=time.perf_counter() - began)


class _Pipeline:
    """Chunks on their way from being read to being kept, in any order; each is cut into spans, one for a thread."""

    def __init__(self, scorer: Scorer, parts: Journal, tally: Tally, on_rows: OnRows) -> None:
        self._scorer, self._parts, self._tally, self._on_rows = scorer, parts, tally, on_rows
        self._scoring = ThreadPoolExecutor(scorer.threads, thread_name_prefix="score")
        # Threads that wait for the disk score nothing meanwhile, so they are others.
        self._keeping = ThreadPoolExecutor(_KEEPERS, thread_name_prefix="keep")
        self._flying: deque[_InFlightChunk] = deque()

    def put(self, chunk: Chunk) -> None:
        """Begin with a chunk, once there is room. Raises what went wrong with an earlier one."""
        while len(self._flying) >= _IN_FLIGHT:
            self._flying.popleft().kept.result()
        flight = _InFlightChunk(chunk, len(self._scorer.model.card.classes), self._scorer.span_rows)
        self._flying.append(flight)
        for start in flight.starts:
            self._scoring.submit(self._score, flight, start)

    def finish(self) -> None:
        """Wait until all are kept. Raises what went wrong with the first that failed."""
        try:
            while self._flying:
                self._flying.popleft().kept.result()
        except BaseException:
            self.abandon()
            raise
        self._scoring.shutdown()
        self._keeping.shutdown()

    def abandon(self) -> None:
        """Stop as soon as may be; what is not kept yet is lost."""
        self._scorer.stop()
        self._scoring.shutdown(cancel_futures=True)
        self._keeping.shutdown(cancel_futures=True)

    def _score(self, flight: "_InFlightChunk", start: int) -> None:
        if flight.kept.done():
            return  # another span of it failed
        try:
            rows = slice(start, start + self._scorer.span_rows)
            self._scorer.score(flight.chunk.pixels[rows], flight.digits[rows], flight.scores[rows])
            if flight.was_last():
                self._keeping.submit(self._keep, flight)
        except BaseException as error:
            flight.fail(error)

    def _keep(self, flight: "_InFlightChunk") -> None:
        chunk = flight.chunk
        try:
            self._tally.add(self._parts.write(chunk, flight.digits, flight.scores))
            self._on_rows(len(chunk), len(chunk.errors))
            flight.free()
            flight.kept.set_result(None)
        except BaseException as error:
            flight.fail(error)


class _InFlightChunk:
    """A chunk that is being scored."""

    def __init__(self, chunk: Chunk, classes: int, span_rows: int) -> None:
        self.chunk = chunk
        self.digits = np.empty(len(chunk), np.int64)
        self.scores = np.empty((len(chunk), classes), np.float32)
        self.starts = range(0, len(chunk), span_rows)
        self.kept: Future[None] = Future()
        """Done once the chunk is kept, or has failed."""
        self._left = len(self.starts)
        self._lock = Lock()

    def was_last(self) -> bool:
        """Count a span as scored; true for the last one."""
        with self._lock:
            self._left -= 1
            return self._left == 0

    def fail(self, error: BaseException) -> None:
        """The chunk cannot be kept, because of the first such error."""
        with self._lock:
            if not self.kept.done():
                self.kept.set_exception(error)

    def free(self) -> None:
        """Let go of the memory, though somebody may still wait for `kept`."""
        del self.chunk, self.digits, self.scores
