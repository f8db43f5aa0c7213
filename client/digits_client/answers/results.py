"""The results of images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model that answered."""

    name: str
    version: str
    """A positive integer in decimal."""
    sha256: str
    """Of the loaded file, 64 hexadecimal digits."""
    execution_provider: str
    """Of onnxruntime, e.g. CPUExecutionProvider."""
    variant: str = ""
    """The faster variant, `int8` or `fp16`; empty for the version itself."""


@dataclass(frozen=True, slots=True)
class Timings:
    """The time of one call inside the server."""

    queue_us: int
    """Time in the queue, microseconds."""
    inference_us: int
    """Run of the batch that contained the call, microseconds."""
    batch_rows: int
    """Images in that batch, including those of other callers."""


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """The result of one image."""

    digit: int
    """The label of the class with the greatest score."""
    scores: Floats
    """float32 [classes], in class order, each 0..1; their sum is 1."""
    margin: float
    """Best score minus second best, 0..1."""
    activations: dict[str, Floats] | None
    """float32 [neurons] of each layer by name: pixels, hidden_1, …; None if not requested."""
    warnings: tuple[str, ...]
    """One sentence for each thing that looks wrong with the image."""
    warning_codes: tuple[str, ...]
    """The code of each of `warnings`, e.g. `several_marks`; codes keep their meaning, sentences may change."""
    candidates: tuple[int, ...]
    """The labels, as in `digit`, of the classes that cannot be ruled out at the requested coverage, best score first.

    Empty if the image is less typical than that, and for a model without thresholds, see `ModelCard`."""
    not_a_digit: float | None
    """The probability, 0..1, that the image shows no digit; None for a model that does not compute it."""
    rejected: bool
    """Whether `not_a_digit` is above the requested `reject_above`; then `digit` means little."""
    model: ModelIdentity
    timings: Timings


@dataclass(frozen=True, slots=True, eq=False)
class Classifications(Sequence[Classification]):
    """The results of the images of one call, in order."""

    items: tuple[Classification, ...]
    model: ModelIdentity
    timings: Timings

    @property
    def digits(self) -> NDArray[np.int64]:
        """int64 [N]: the digit of each image."""
        return np.array([item.digit for item in self.items], np.int64)

    @property
    def scores(self) -> Floats:
        """float32 [N, classes]."""
        return np.stack([item.scores for item in self.items])

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Classification]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Classification: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Classification, ...]: ...
    def __getitem__(self, index: int | slice) -> Classification | tuple[Classification, ...]:
        return self.items[index]


def read_identity(message: pb.ModelIdentity) -> ModelIdentity:
    """The message as a value."""
    return ModelIdentity(message.name, message.version, message.sha256, message.execution_provider, message.variant)


def read_timings(message: pb.Timings) -> Timings:
    """The message as a value."""
    return Timings(message.queue_us, message.inference_us, message.batch_rows)


def read_prediction(
    message: pb.Prediction, model: ModelIdentity, timings: Timings, *, activations: bool = False
) -> Classification:
    """The message as a value; `model` and `timings` are those of its call."""
    return Classification(
        digit=message.digit,
        scores=np.array(message.scores, np.float32),
        margin=message.margin,
        activations={layer.name: np.array(layer.values, np.float32) for layer in message.activations}
        if activations
        else None,
        warnings=tuple(message.warnings),
        warning_codes=tuple(message.warning_codes),
        candidates=tuple(message.candidates),
        not_a_digit=message.not_a_digit if message.HasField("not_a_digit") else None,
        rejected=message.rejected,
        model=model,
        timings=timings,
    )


def read_response(response: pb.ClassifyResponse, *, count: int, activations: bool) -> Classifications:
    """The message as values, for `count` images; `activations` is whether they were requested.

    Raises `ValueError` for another number of images.
    """
    if len(response.predictions) != count:
        raise ValueError(f"{len(response.predictions)} results, expected {count}")
    model, timings = read_identity(response.model), read_timings(response.timings)
    items = tuple(read_prediction(each, model, timings, activations=activations) for each in response.predictions)
    return Classifications(items, model, timings)
