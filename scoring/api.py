"""`score`: a job in one call, from Python."""

import os
from collections.abc import Sequence

from artifact.card import Variant
from scoring.options import JobOptions, OnError
from scoring.pipeline import run_pipeline
from scoring.reporting.summary import Summary
from scoring.scorers.in_process import ProviderName
from scoring.scorers.open import open_scorer
from scoring.writers.write import Format


def score(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    model: str = JobOptions.model,
    server: str | None = None,
    models: str | os.PathLike[str] | None = None,
    provider: ProviderName | None = None,
    require_provider: bool = False,
    variant: Variant | None = None,
    format: Format | None = None,  # noqa: A002 the option's name
    pixels: str | None = None,
    labels: str | os.PathLike[str] | None = None,
    top_k: int = JobOptions.top_k,
    read: bool = False,
    reject_above: float | None = None,
    chunk_rows: int | None = None,
    resume: bool = False,
    on_error: OnError | None = None,
    calls: int = JobOptions.calls,
    patience: float = JobOptions.patience,
    shared_memory: str = JobOptions.shared_memory,
    show: bool = False,
) -> Summary:
    """Score every image of `inputs` into the table `output`, each row exactly once and in order.

    `inputs` are .npy, .npz, IDX, CSV, Parquet, archives or folders of images, globs, or `-` for JSON lines on
    standard input; their content tells them apart. `scoring.RULES` says what `pixels` and `labels` select.
    `format` is that of the output, by default the one of its suffix; `top_k` adds a column for each of the K best
    digits of a row.

    With `read` every image file is a picture of several digits: the table has its text with a score, the number of
    digits, the quarter turns after which they stand upright, and the codes of warnings. With `reject_above`, between
    0 and 1, an image that shows no digit with a greater chance is rejected: the table has this chance and whether it
    is, or with `read` the number of rejected digits, each of which is a `?` in the text.

    `model` is NAME or NAME:VERSION in the folder `models`, or on the server `server` (HOST:PORT). Empty means the
    default model in its newest version. Without `models`, the folder is `models` in the current folder, or else the
    installed models. Without `server`, onnxruntime runs in this process, on `provider` (default "auto"), the version
    itself or its faster `variant`. With `server`, `calls` is the number of concurrent calls, `patience` how many
    seconds the server may be unreachable, and `shared_memory` the prefix of the shared-memory objects that carry
    pixels to a server on this host (empty: none).

    An interrupted job continues with `resume`; its output has the same bytes. `chunk_rows` is how many rows are
    read and stored together. A bad row ends the job with `on_error="fail"` and has its error in the table with
    "record"; None records images that cannot be read and fails for everything else. `show` draws progress on stderr.

    Raises `InputError`, `JournalError`, `ScorerError`, a `DigitsError`, or `OSError`; `ValueError` or `TypeError`
    for an invalid option.
    """
    return run_job(
        JobOptions.parse(
            inputs=inputs,
            output=output,
            model=model,
            server=server,
            models=models,
            provider=provider,
            require_provider=require_provider,
            variant=variant,
            format=format,
            pixels=pixels,
            labels=labels,
            top_k=top_k,
            read=read,
            reject_above=reject_above,
            chunk_rows=chunk_rows,
            resume=resume,
            on_error=on_error,
            calls=calls,
            patience=patience,
            shared_memory=shared_memory,
            show=show,
        )
    )


def run_job(options: JobOptions) -> Summary:
    """As `score`, with options that are checked already."""
    with open_scorer(options) as scorer:
        return run_pipeline(options, scorer)
