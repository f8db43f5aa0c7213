"""The same job on Ray Data: tasks read, a pool of actors scores, and each chunk becomes a file of its own.

The output is a folder of parts whose names are in the order of the rows. All machines must see inputs, models and
output under the same paths. What is spread, retried and counted for memory is Ray's matter.
"""

import os
import pickle
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports home unless this is set before its import

import ray
import ray.data

from scoring.chunk import Chunk, InputError
from scoring.job import CHUNK_ROWS, Job, OnError, make_job
from scoring.local import LocalScorer, Provider
from scoring.parts import PartsError
from scoring.progress import progress, silent
from scoring.readers.open import Inputs, open_inputs
from scoring.scorer import Model, ScorerError
from scoring.summary import Summary, Tally
from scoring.writers.columns import Columns
from scoring.writers.write import Format, write_table

# Chunks that one reading task hands on: opening the inputs anew costs little beside them.
_TASK_CHUNKS = 8

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Span:
    """Consecutive chunks, for a task to read. As what is `done` it holds all others."""

    first: int
    stop: int | None
    """The chunk after the last; None: to the end."""

    def __contains__(self, index: int) -> bool:
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
    format: Format | None = None,  # noqa: A002 the option's name
    pixels: str | None = None,
    labels: str | None = None,
    top_k: int = 0,
    chunk_rows: int = CHUNK_ROWS,
    resume: bool = False,
    on_error: OnError | None = None,
    show: bool = False,
) -> Summary:
    """As `scoring.score`, by the workers of the Ray cluster at `address`; None: one on this machine, for this job.

    `actors` score, each with one CPU, a session of its own and that part `gpus` of a GPU; 0: as many as the cluster
    has room for. `output` becomes a folder of files of `chunk_rows` rows. There is no `resume`: Ray repeats what its workers
    lose, and a job that ends is begun again.

    Raises what `scoring.score` raises.
    """
    if resume:
        raise PartsError("a job on Ray cannot be resumed: Ray repeats what its workers lose; begin it again")
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
    name, _, version = model.partition(":")
    chosen = {
        "models": Path(models).resolve(),
        "name": name,
        "version": version,
        "provider": provider,
        "require_provider": require_provider,
    }
    # Loaded here to know the shape; which provider it runs on, the actors tell.
    here = LocalScorer(**(chosen | {"provider": "cpu", "require_provider": False})).model  # type: ignore[arg-type]
    chosen |= {"name": here.card.name, "version": str(here.card.version)}
    opened = open_inputs(job.inputs, here.shape(), pixels=job.pixels, labels=job.labels)
    if not opened.replayable:
        raise InputError("standard input cannot be read by Ray's workers")
    folder = job.output.with_name(f"{job.output.name}.tmp")
    _make_room(job.output, folder)
    began = time.perf_counter()
    own = not ray.is_initialized()
    if own:
        ray.init(address=address, include_dashboard=False if address is None else None, log_to_driver=False)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        actors = actors or _room_for_actors(gpus)
        with progress(opened.rows, 0) if show else nullcontext(silent) as on_rows:
            rows = (
                ray.data.from_items([{"span": pickle.dumps(span)} for span in _spans(opened, chunk_rows)])
                .repartition(max(len(_spans(opened, chunk_rows)), 1))
                .flat_map(_Read(job, here))
                .map(_Score, fn_constructor_args=(job, chosen, folder.resolve()), concurrency=actors, num_gpus=gpus)
                .iter_rows()
            )
            tally, ran = _gather(rows, job, here, opened, on_rows)
        folder.rename(job.output)
    finally:
        if own:
            ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    how = f"by {actors} actors of Ray, {ran.provider}"
    return tally.summary(str(job.output), how, resumed_rows=0, seconds=time.perf_counter() - began)
