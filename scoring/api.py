"""`score`: a job in one call, from Python."""

import hashlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from artifact.card import Variant
from scoring.options import check_choice, check_flag, check_text, read_count, read_model, read_path, read_seconds
from scoring.pipeline import OnError, make_job, run
from scoring.scorers.in_process import LocalScorer, Provider
from scoring.scorers.remote import RemoteScorer
from scoring.scorers.scorer import Scorer
from scoring.summary import Summary
from scoring.writers.write import Format

MOST_CALLS = 256
"""Calls that may be in flight at once."""
SHARED_MEMORY = "digits-"
"""How names of shared-memory objects begin that a server is asked to open unless a job says otherwise."""


def score(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    model: str = "",
    server: str | None = None,
    models: str | os.PathLike[str] | None = None,
    provider: Provider | None = None,
    require_provider: bool = False,
    variant: Variant | None = None,
    format: Format | None = None,  # noqa: A002 the option's name
    pixels: str | None = None,
    labels: str | os.PathLike[str] | None = None,
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

    `model` is NAME or NAME:VERSION of the folder `models` ("models" unless told otherwise), or of `server`
    (HOST:PORT) where one is given; empty: the default, its newest version. Without a server onnxruntime runs here,
    on `provider` ("auto" unless told otherwise), the version itself or its faster `variant`. With one, `calls` are in
    flight, `patience` is how many seconds it may be gone, and `shared_memory` begins the names of objects by which
    pixels go to one on this host (empty: never).

    A killed job goes on with `resume`, and its output has the same bytes. A bad row ends the job with
    `on_error="fail"` and gets its error in the table with "record"; None records images that cannot be read and
    fails for everything else. `show` draws progress on stderr.

    Raises `InputError`, `JournalError`, `ScorerError`, a `DigitsError`, or `OSError`; `ValueError` or `TypeError` for
    options that cannot be.
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
    name, version = read_model(model)
    calls, patience = read_count("calls", calls, 1, MOST_CALLS), read_seconds("patience", patience)
    check_text("shared_memory", shared_memory)
    for key, flag in (("resume", resume), ("show", show), ("require_provider", require_provider)):
        check_flag(key, flag)
    scorer: Scorer
    if server is None:
        folder = Path(read_path("models", "models" if models is None else models))
        on: Provider = "auto" if provider is None else provider
        check_choice("provider", on, get_args(Provider))
        kind: Variant = variant or ""
        check_choice("variant", kind, get_args(Variant))
        scorer = LocalScorer(
            folder, name=name, version=version, provider=on, require_provider=require_provider, variant=kind
        )
    else:
        here = {
            "models": models,
            "provider": provider,
            "require_provider": require_provider or None,
            "variant": variant or None,
        }
        for key, value in here.items():
            if value is not None:
                raise ValueError(f"{key} goes without server, which has models of its own")
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
    name = f"{socket.gethostname()}:{output.resolve()}"
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:12]
