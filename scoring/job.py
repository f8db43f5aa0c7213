"""A job: its options, the model whose scores it writes, and its opened inputs."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from engine.reading import reads_digits
from scoring.chunk import Chunk, ErrorKind, InputError
from scoring.messages import clip_list
from scoring.options import JobOptions
from scoring.readers.labels.labels import NONE
from scoring.readers.open import open_inputs
from scoring.reporting.tally import Tally
from scoring.scorers.scorer import Model
from scoring.writers.columns import Columns
from scoring.writers.picture_columns import PictureColumns

CHUNK_ROWS = 16_384
"""Default rows of a chunk."""
IMAGE_CHUNK_ROWS = 1_024
"""Default rows of a chunk when some of the inputs are image files, which are slow to decode."""
PICTURE_CHUNK_ROWS = 64
"""Default rows of a chunk of pictures to read: each may be megabytes, and takes a part of a second."""


class Job:
    """The chunks of a job, and the rules for them that follow from its options."""

    def __init__(self, options: JobOptions, model: Model, *, threads: int = 1) -> None:
        """Open the inputs; `threads` processes decode image files.

        Raises `InputError`, or `ValueError` for an option that does not fit the model.
        """
        if options.top_k > len(model.card.classes):
            raise ValueError(f"top_k is {options.top_k}, and {model} has {len(model.card.classes)} classes")
        if options.reject_above is not None and not model.card.detects_outliers:
            raise ValueError(
                f"reject_above is {options.reject_above:g}, and {model} cannot tell digits from other images"
            )
        if options.read and not reads_digits(model.card):
            raise ValueError(f"read needs a model of digits, and the classes of {model} are others")
        self.options, self.model = options, model
        shape = model.shape()
        self.inputs = open_inputs(
            options.inputs,
            shape,
            pixels=options.pixels,
            labels=options.labels,
            threads=threads,
            pictures=options.read,
        )
        rejecting = options.reject_above
        self.columns: Columns | PictureColumns = (
            PictureColumns(rejecting is not None)
            if options.read
            else Columns(self.inputs.named, shape, options.top_k, rejecting)
        )
        usual = PICTURE_CHUNK_ROWS if options.read else IMAGE_CHUNK_ROWS if self.inputs.encoded else CHUNK_ROWS
        self.chunk_rows = options.chunk_rows or usual

    def chunks(self, done: Container[int] = ()) -> Iterator[Chunk]:
        """The chunks whose index is not in `done`, in order.

        Raises `InputError` for a damaged input, and for a row error that ends the job.
        """
        for chunk in self.inputs.chunks(self.chunk_rows, done):
            for _, error in sorted(chunk.errors.items()):
                if not self.records(error.kind):
                    raise InputError(error.message)
            yield chunk

    def records(self, kind: ErrorKind) -> bool:
        """Whether a row error of this kind is recorded in the table; if not, it ends the job."""
        on_error = self.options.on_error
        return on_error == "record" or (on_error is None and kind is ErrorKind.IMAGE)

    def new_tally(self) -> Tally:
        """An empty tally for the chunks of this job."""
        return Tally(self.model, self.inputs.labelled, self.options.top_k, read=self.options.read)

    def check_labels(self, tally: Tally) -> None:
        """Raise `InputError` if labels were requested and no scored row has one."""
        summary = tally.summary("", "", resumed_rows=0, seconds=0.0)
        labels = self.options.labels
        if labels not in (None, NONE) and not summary.labelled and summary.rows > summary.failed:
            raise InputError(
                f"{clip_list(self.options.inputs)}: labels {labels} were asked for, and no row with scores has one, "
                "expected some; name others by --labels, or leave it out"
            )

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that determines the bytes of the output, for JSON; a resumed run must have the same."""
        return {
            "inputs": self.inputs.fingerprint(),
            "model": dict(self.model.identity),
            "options": {
                "pixels": self.options.pixels,
                "labels": self.options.labels,
                "top_k": self.options.top_k,
                "read": self.options.read or None,
                "reject_above": self.options.reject_above,
                "chunk_rows": self.chunk_rows,
                "format": self.options.format,
            },
        }
