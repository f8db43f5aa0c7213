"""The same job on Ray Data: tasks read, a pool of actors scores, and each chunk becomes a file of its own.

The output is a folder of parts whose names are in the order of the rows. All machines must see inputs, models and
output under the same paths. What is spread, retried and counted for memory is Ray's matter.
"""

import logging
import os
import pickle
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports home unless this is set before its import

import ray
import ray.data

from artifact.card import Variant
from scoring.chunk import Chunk, InputError
from scoring.journal import JournalError
from scoring.options import check_choice, check_flag, read_count, read_model, read_path
from scoring.pipeline import Job, OnError, make_job
from scoring.progress import OnRows, progress, silent
from scoring.readers.open import Inputs, open_inputs
from scoring.scorers.in_process import LocalScorer, Provider
from scoring.scorers.scorer import Model, ScorerError
from scoring.summary import Summary, Tally
from scoring.writers.columns import CODES, KIND, LABEL, Columns
from scoring.writers.write import Format, write_table

# Chunks that one reading task hands on: opening the inputs anew costs little beside them.
_TASK_CHUNKS = 8

# What of a part the summary is made of.
_COUNTED = (KIND, CODES, LABEL, "digit", "margin")
# What a worker tells in a sentence; everything else is a fault, and Ray shows it.
_TOLD = (InputError, ScorerError, OSError)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Span:
    """Consecutive chunks, for a task to read. As what is `done` it holds all others."""

    first: int
    stop: int | None
    """The chunk after the last; None: to the end."""

    def __contains__(self, index: Any) -> bool:
        return index < self.first or (self.stop is not None and index >= self.stop)


def score_on_ray(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    address: str | None = None,
    actors: int = 0,
    gpus: float = 0.0,
    model: str = "",
    models: str | os.PathLike[str] = "models",
    provider: Provider = "auto",
    require_provider: bool = False,
    variant: Variant | None = None,
    format: Format | None = None,  # noqa: A002 the option's name
    pixels: str | None = None,
    labels: str | os.PathLike[str] | None = None,
    top_k: int = 0,
    chunk_rows: int | None = None,
    resume: bool = False,
    on_error: OnError | None = None,
    show: bool = False,
) -> Summary:
    """As `scoring.score`, by the workers of the Ray cluster at `address`; None: one on this machine, for this job.

    `actors` score, each with one CPU, a session of its own and that part `gpus` of a GPU; 0: as many as
    the cluster has room for. `output` becomes a folder of files of a chunk each. There is no `resume`: Ray repeats
    what its workers lose, and a job that ends is begun again.

    Raises what `scoring.score` raises.
    """
    for key, flag in (("resume", resume), ("show", show), ("require_provider", require_provider)):
        check_flag(key, flag)
    if resume:
        raise JournalError("a job on Ray cannot be resumed: Ray repeats what its workers lose; begin it again")
    job = make_job(
        inputs,
        output,
        format_=format,
        pixels=pixels,
        labels=labels,
        top_k=top_k,
        chunk_rows=chunk_rows,
        on_error=on_error,
    )
    name, version = read_model(model)
    actors = read_count("actors", actors, 0)
    check_choice("provider", provider, get_args(Provider))
    check_choice("variant", variant or "", get_args(Variant))
    chosen: Row = {
        "models": Path(read_path("models", models)).resolve(),
        "name": name,
        "version": version,
        "provider": provider,
        "require_provider": require_provider,
        "variant": variant or "",
    }
    # Loaded here to know the shape; which provider it runs on, the actors tell.
    here = LocalScorer(**(chosen | {"provider": "cpu", "require_provider": False})).model
    chosen |= {"name": here.card.name, "version": str(here.card.version)}
    job.check_model(here)
    opened = open_inputs(job.inputs, here.shape(), pixels=job.pixels, labels=job.labels)
    if not opened.replayable:
        raise InputError("standard input cannot be read by Ray's workers")
    tally = Tally(here, opened.labelled, job.top_k)
    folder = job.output.with_name(f"{job.output.name}.parts")
    _make_room(job.output, folder)
    began = time.perf_counter()
    own = not ray.is_initialized()
    if own:
        # A cluster for this job alone is nobody else's to reach.
        where: Row = {"_node_ip_address": "127.0.0.1", "include_dashboard": False} if address is None else {}
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", **where)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        actors = actors or _room_for_actors(gpus)
        rows = _rows(job, chosen, here, opened, folder.resolve(), actors, gpus)
        with progress(opened.rows, 0) if show else nullcontext(silent) as on_rows:
            tally.model = replace(here, provider=_gather(rows, tally, on_rows))
        job.check_labels(tally)
        folder.rename(job.output)
    finally:
        if own:
            ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    how = f"by {actors} actor{'s' * (actors > 1)} of Ray, {tally.model.provider}"
    return tally.summary(str(job.output), how, resumed_rows=0, seconds=time.perf_counter() - began)


def _make_room(output: Path, folder: Path) -> None:
    if output.exists():
        raise JournalError(f"{output} exists already; remove it or choose another name")
    if not output.parent.is_dir():
        raise JournalError(f"{output} cannot be written: there is no folder {output.parent}")
    try:
        folder.mkdir()
    except FileExistsError:
        raise JournalError(
            f"{folder} exists: another job writes there, or was killed; remove it to begin anew"
        ) from None


def _room_for_actors(gpus: float) -> int:
    """How many actors the cluster holds: one for each CPU, or for each part of a GPU."""
    resources = ray.cluster_resources()
    cpus = int(resources.get("CPU", 1))
    if not gpus:
        return max(cpus, 1)
    room = int(resources.get("GPU", 0) / gpus)
    if not room:
        raise ScorerError(f"the Ray cluster has {resources.get('GPU', 0):g} GPUs, and an actor was to get {gpus:g}")
    return max(min(cpus, room), 1)


def _rows(job: Job, chosen: Row, here: Model, opened: Inputs, folder: Path, actors: int, gpus: float) -> Iterator[Row]:
    """What `_Score` makes of each chunk, in any order."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    spans = _spans(opened, job.rows_at_once(opened))
    data = ray.data.from_items([{"span": pickle.dumps(span)} for span in spans], override_num_blocks=len(spans))
    scored = data.flat_map(_Read(job, here)).map(
        _Score,
        fn_constructor_args=(job, chosen, opened.named, folder),
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    rows: Iterator[Row] = scored.iter_rows()
    return rows


def _spans(opened: Inputs, chunk_rows: int) -> list[_Span]:
    """Who reads what. Where nobody knows how many rows there are, one task reads all."""
    counts = [reader.rows for reader in opened.readers]
    if None in counts:
        return [_Span(0, None)]
    chunks = sum(-(-rows // chunk_rows) for rows in counts if rows is not None)
    spans = [_Span(first, first + _TASK_CHUNKS) for first in range(0, chunks, _TASK_CHUNKS)]
    return spans or [_Span(0, None)]


def _gather(rows: Iterator[Row], tally: Tally, on_rows: OnRows) -> str:
    """Add up what comes back; tells the provider that the model ran on. Raises what went wrong with a chunk."""
    identity = None
    provider: str = tally.model.provider
    for row in rows:
        if row["error"]:
            raise pickle.loads(row["error"])  # noqa: S301 made by our own workers
        if identity is not None and row["identity"] != identity:
            raise ScorerError(f"not all workers have the same model: {identity} and {row['identity']}")
        identity, provider = row["identity"], row["provider"]
        with pa.ipc.open_stream(row["counted"]) as reader:
            batch = reader.read_next_batch()
        tally.add(batch)
        on_rows(len(batch), len(batch) - batch.column("kind").null_count)
    return provider


class _Read:
    """Reads the chunks of a span, each as one row, so that none is ever cut in two."""

    def __init__(self, job: Job, model: Model) -> None:
        self._job, self._model = job, model

    def __call__(self, row: Row) -> Iterator[Row]:
        span: _Span = pickle.loads(row["span"])  # noqa: S301 made above
        job = self._job
        try:
            inputs = open_inputs(job.inputs, self._model.shape(), pixels=job.pixels, labels=job.labels)
            for chunk in inputs.chunks(job.rows_at_once(inputs), span):
                job.check(chunk)
                yield {"chunk": pickle.dumps(chunk), "error": b""}
                if chunk.index + 1 == span.stop:
                    break
        except _TOLD as error:
            yield {"chunk": b"", "error": pickle.dumps(error)}


class _Score:
    """An actor with the model: scores a chunk and writes its file."""

    def __init__(self, job: Job, chosen: Row, named: bool, folder: Path) -> None:
        self._job, self._folder = job, folder
        self._model_or_error: LocalScorer | ScorerError
        try:
            self._model_or_error = LocalScorer(**chosen, threads=1)
        except ScorerError as error:  # Ray would begin the actor again and again
            self._model_or_error = error
            return
        self._columns = Columns(named, self._model_or_error.model.shape(), job.top_k)

    def __call__(self, row: Row) -> Row:
        if row["error"]:
            return _failed(row["error"])
        try:
            if isinstance(self._model_or_error, ScorerError):
                raise self._model_or_error
            return self._score(self._model_or_error, pickle.loads(row["chunk"]))  # noqa: S301 made by `_Read`
        except _TOLD as error:
            return _failed(pickle.dumps(error))

    def _score(self, scorer: LocalScorer, chunk: Chunk) -> Row:
        digits = np.empty(len(chunk), np.int64)
        scores = np.empty((len(chunk), len(scorer.model.card.classes)), np.float32)
        scorer.score(chunk.pixels, digits, scores)
        batch = self._columns.batch(chunk, digits, scores)
        path = self._folder / f"part-{chunk.index:06d}.{self._job.format_}"
        temporary = path.with_suffix(".tmp")  # Ray may do a lost chunk again while its file is being written
        identity = scorer.model.identity
        write_table([batch], temporary, self._job.format_, self._columns.table, identity)
        temporary.rename(path)
        counted = batch.select([name for name in batch.schema.names if name in _COUNTED or name.startswith("top_")])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, counted.schema) as writer:
            writer.write_batch(counted)
        return {
            "error": b"",
            "identity": f"{scorer.model}, {scorer.model.sha256}, on {scorer.model.provider}",
            "provider": scorer.model.provider,
            "counted": sink.getvalue().to_pybytes(),
        }


def _failed(error: bytes) -> Row:
    return {"error": error, "identity": "", "provider": "", "counted": b""}
