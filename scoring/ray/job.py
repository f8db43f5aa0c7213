"""A job on Ray Data: tasks read, a pool of actors scores, and each chunk becomes a file of its own.

The output is a folder of files whose names are in the order of the rows. All machines must see inputs, models and
output under the same paths. Ray schedules the work, limits its memory and repeats what lost workers did.
"""

import logging
import os
import pickle
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports home unless this is set before its import

import ray
import ray.data

from artifact.default_folder import default_folder
from scoring.chunk import InputError
from scoring.job import Job
from scoring.journal.errors import JournalError
from scoring.journal.journal import journal_folder
from scoring.options import JobOptions, parse_count
from scoring.ray.tasks import ReadSpan, Row, ScoreChunk, Span, read_tally_columns
from scoring.readers.inputs import Inputs
from scoring.reporting.progress import OnRows, progress, silent
from scoring.reporting.summary import Summary
from scoring.reporting.tally import Tally
from scoring.scorers.open import open_local_scorer
from scoring.scorers.scorer import Model, ScorerError

# Chunks that one task reads; opening the inputs again for each task costs little beside them.
_CHUNKS_PER_TASK = 8


def score_on_ray(options: JobOptions, *, address: str | None = None, actors: int = 0, gpus: float = 0.0) -> Summary:
    """As `scoring.score`, on the Ray cluster at `address`; None starts a cluster on this machine for the job.

    Each of the `actors` has one CPU, a session of its own and the fraction `gpus` of a GPU; 0 actors: as many as the
    cluster has resources for. The output becomes a folder with a file for each chunk. A job on Ray cannot be resumed
    and takes no server.

    Raises what `scoring.score` raises.
    """
    if options.resume:
        raise JournalError("a job on Ray cannot be resumed: Ray repeats what its workers lose; begin it again")
    if options.read or options.reject_above is not None:
        raise ValueError("a job on Ray reads no pictures and rejects no images")
    if options.server is not None:
        raise ValueError("a job on Ray takes no server: its workers load the model")
    actors = parse_count("actors", actors, 0)
    model, options = _pin_model(options)
    job = Job(options, model)
    if not job.inputs.replayable:
        raise InputError("standard input cannot be read by Ray's workers")
    tally = job.new_tally()
    folder = _create_folder(options.output)
    began = time.perf_counter()
    try:
        with _cluster(address):
            actors = actors or _count_actors(gpus)
            rows = _score_chunks(job, folder.resolve(), actors, gpus)
            with progress(job.inputs.rows, 0) if options.show else nullcontext(silent) as on_rows:
                tally.model = replace(model, provider=_add_up(rows, tally, on_rows))
            job.check_labels(tally)
            folder.rename(options.output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    how = f"by {actors} actor{'s' * (actors > 1)} of Ray, {tally.model.provider}"
    return tally.summary(str(options.output), how, resumed_rows=0, seconds=time.perf_counter() - began)


def _pin_model(options: JobOptions) -> tuple[Model, JobOptions]:
    """The model, and the options with its name and version, so that all actors load the same one."""
    options = replace(options, models=(options.models or default_folder()).resolve())
    # Loaded on the CPU only to know its card; each actor reports the provider that it runs on.
    model = open_local_scorer(replace(options, provider="cpu", require_provider=False)).model
    return model, replace(options, model=f"{model.card.name}:{model.card.version}")


def _create_folder(output: Path) -> Path:
    """The folder that becomes the output when it is complete."""
    if output.exists():
        raise JournalError(f"{output} exists already; remove it or choose another name")
    if not output.parent.is_dir():
        raise JournalError(f"{output} cannot be written: there is no folder {output.parent}")
    folder = journal_folder(output)
    try:
        folder.mkdir()
    except FileExistsError:
        raise JournalError(
            f"{folder} exists: another job writes there, or was killed; remove it to begin anew"
        ) from None
    return folder


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connect to the cluster at `address`, or start one; unless the caller's process is connected already."""
    connect = not ray.is_initialized()
    if connect:
        # Only this job uses a cluster of its own, so no other machine may reach it.
        local: Row = {"_node_ip_address": "127.0.0.1", "include_dashboard": False} if address is None else {}
        ray.init(address=address or "local", log_to_driver=False, logging_level="error", **local)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        if connect:
            ray.shutdown()


def _count_actors(gpus: float) -> int:
    """How many actors the cluster has resources for: one for each CPU, or for each fraction of a GPU."""
    resources = ray.cluster_resources()
    cpus = int(resources.get("CPU", 1))
    if not gpus:
        return max(cpus, 1)
    fractions = int(resources.get("GPU", 0) / gpus)
    if not fractions:
        raise ScorerError(f"the Ray cluster has {resources.get('GPU', 0):g} GPUs, and an actor was to get {gpus:g}")
    return max(min(cpus, fractions), 1)


def _score_chunks(job: Job, folder: Path, actors: int, gpus: float) -> Iterator[Row]:
    """The rows that `ScoreChunk` returns, in any order."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    spans = _split(job.inputs, job.chunk_rows)
    data = ray.data.from_items([{"span": pickle.dumps(span)} for span in spans], override_num_blocks=len(spans))
    scored = data.flat_map(ReadSpan(job.options, job.model)).map(
        ScoreChunk,
        fn_constructor_args=(job.options, job.inputs.named, folder),
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=1,
        num_gpus=gpus or None,
    )
    rows: Iterator[Row] = scored.iter_rows()
    return rows


def _split(inputs: Inputs, chunk_rows: int) -> list[Span]:
    """The spans that tasks read; one span of everything if the number of rows is not known."""
    counts = [reader.rows for reader in inputs.readers]
    if None in counts:
        return [Span(0, None)]
    chunks = sum(-(-rows // chunk_rows) for rows in counts if rows is not None)
    spans = [Span(first, first + _CHUNKS_PER_TASK) for first in range(0, chunks, _CHUNKS_PER_TASK)]
    return spans or [Span(0, None)]


def _add_up(rows: Iterator[Row], tally: Tally, on_rows: OnRows) -> str:
    """Add all chunks to the tally; returns the provider that the model ran on. Raises the error of a chunk."""
    identity = None
    provider: str = tally.model.provider
    for row in rows:
        if row["error"]:
            raise pickle.loads(row["error"])  # noqa: S301 made by our own workers
        if identity is not None and row["identity"] != identity:
            raise ScorerError(f"not all workers have the same model: {identity} and {row['identity']}")
        identity, provider = row["identity"], row["provider"]
        batch = read_tally_columns(row)
        tally.add(batch)
        on_rows(len(batch), len(batch) - batch.column("kind").null_count)
    return provider
