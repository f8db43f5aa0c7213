"""Opens the scorer for the options of a job."""

import hashlib
import socket
from pathlib import Path

from artifact.default_folder import default_folder
from scoring.options import JobOptions
from scoring.scorers.in_process import LocalScorer
from scoring.scorers.remote import RemoteScorer
from scoring.scorers.scorer import Scorer


def open_scorer(options: JobOptions) -> Scorer:
    """A model in this process, or on the server of the options.

    Raises `ScorerError` or a `DigitsError`; `ValueError` or `TypeError` for an address that cannot be one.
    """
    if options.server is None:
        return open_local_scorer(options)
    return RemoteScorer(
        options.server,
        name=options.model_name,
        version=options.model_version,
        calls=options.calls,
        retry_timeout=options.patience,
        # What goes through shared memory are pixels, labels and scores.
        shared_memory="" if options.read or options.reject_above is not None else options.shared_memory,
        job=_job_id(options.output),
        read=options.read,
    )


def open_local_scorer(options: JobOptions, *, threads: int = 0) -> LocalScorer:
    """A model in this process; `threads` 0: one for each usable core. Raises `ScorerError`."""
    return LocalScorer(
        options.models or default_folder(),
        name=options.model_name,
        version=options.model_version,
        provider=options.provider or "auto",
        require_provider=options.require_provider,
        variant=options.variant,
        threads=threads,
    )


def _job_id(output: Path) -> str:
    """An id of the jobs on this host that write `output`; a resumed job has the same one."""
    name = f"{socket.gethostname()}:{output.resolve()}"
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:12]
