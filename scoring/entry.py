"""`score`: a job in one call, from Python."""

import hashlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from scoring.job import OnError, make_job, run
from scoring.local import LocalScorer, Provider
from scoring.remote import RemoteScorer
from scoring.scorer import Scorer
from scoring.summary import Summary
from scoring.writers.write import Format

SHARED_MEMORY = "digits-"
"""How names of shared-memory objects begin that a server is asked to open unless a job says otherwise."""


def score(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    model: str = "",
    server: str | None = None,
    models: str | os.PathLike[str] = "models",
    provider: Provider = "auto",
    require_provider: bool = False,
    format: Format | None = None,  # noqa: A002 the option's name
    pixels: str | None = None,
    labels: str | None = None,
    top_k: int = 0,
    chunk_rows: int | None = None,
    resume: bool = False,
    on_error: OnError | None = None,
    calls: int = 4,
    patience: float = 60.0,
    shared_memory: str = SHARED_MEMORY,
    show: bool = False,
) -> Summary:
    """Score every image of `inputs` into the table `output`, each row exactly once and in order.

    `inputs` are .npy, .npz, IDX, CSV, Parquet, archives or folders of images, globs, or `-` for JSON lines on
    standard input, found out by their content; what is taken as `pixels` and `labels`, `scoring.RULES` tells.

    `model` is NAME or NAME:VERSION of the folder `models`, or of `server` (HOST:PORT) where one is given; empty:
    the default, its newest version. Without a server onnxruntime runs here, on `provider`. With one, `calls` are
    in flight, `patience` is how many seconds it may be gone, and `shared_memory` begins the names of objects by which
    pixels go to one on this host (empty: never).

    A killed job goes on with `resume`, and its output has the same bytes. A bad row ends the job with
    `on_error="fail"` and gets its error in the table with "record"; None records images that cannot be read and
    fails for everything else. `show` draws progress on stderr.

    Raises `InputError`, `PartsError`, `ScorerError`, a `DigitsError`, or `OSError`; `ValueError` for options that
    cannot be.
    """
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
    scorer: Scorer
    if server is None:
        scorer = LocalScorer(
            Path(models), name=name, version=version, provider=provider, require_provider=require_provider
        )
    else:
        scorer = RemoteScorer(
            server,
            name=name,
            version=version,
            calls=calls,
            patience=patience,
            shared_memory=shared_memory,
            job=_called(job.output),
        )
    with scorer:
        return run(job, scorer, resume=resume, show=show)


def _called(output: Path) -> str:
    """A name for the jobs with this output on this host, the same for one that is resumed."""
    return hashlib.sha256(f"{socket.gethostname()}:{output.resolve()}".encode()).hexdigest()[:12]
