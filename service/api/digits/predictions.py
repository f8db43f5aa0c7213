"""How predictions are written: as messages, or, when nothing is odd about them, all rows of a batch at once."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.wire import length_delimited, tag
from numpy.typing import NDArray

from artifact.card import Card
from artifact.prediction_sets import DEFAULT_COVERAGE, rank
from engine.models.batcher import BatchSlice
from engine.models.session import InferenceResult
from engine.models.version import Version
from imaging.pixels import ImageWarning
from service.api.digits.models import identity
from service.api.digits.pixels import Rows

_PREDICTIONS = pb.ClassifyResponse.PREDICTIONS_FIELD_NUMBER

Warnings = Sequence[tuple[int, ImageWarning]]
"""(row, warning)"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks of each prediction."""

    coverage: float = DEFAULT_COVERAGE
    """Of the candidates, where the card has thresholds."""
    reject_above: float = 1.0
    """Chance of no digit above which an image is rejected."""


DEFAULT_WISH = Wish()


def write_response(
    version: Version,
    answer: BatchSlice,
    warnings: Warnings = (),
    activations_of: Rows | None = None,
    wish: Wish = DEFAULT_WISH,
) -> pb.ClassifyResponse:
    """The answer to one caller, with what looked wrong with the images as they came.

    With the pixels `activations_of`, uint8 [N, rows*cols], the values of every layer are written too.
    """
    # Fields set one by one: twice as fast as the constructor's keywords.
    response = pb.ClassifyResponse()
    response.model.CopyFrom(identity(version))
    timings = response.timings
    timings.queue_us = answer.queue_us
    timings.inference_us = answer.inference_us
    timings.batch_rows = answer.batch_rows
    result = answer.result
    card = version.session.card
    predictions = [response.predictions.add() for _ in range(len(result.labels))]
    write_predictions(predictions, result, card, wish)
    for row, warning in dict.fromkeys((*warnings, *result.warnings)):
        predictions[row].warnings.append(warning.sentence)
        predictions[row].warning_codes.append(warning.code)
    if activations_of is not None:
        values = (activations_of.tolist(), *(layer.tolist() for layer in result.hidden))
        for name, rows in zip(("pixels", *card.hidden_names), values, strict=True):
            for prediction, row in zip(predictions, rows, strict=True):
                prediction.activations.add(name=name, values=row)
    return response


def write_predictions(
    predictions: Sequence[pb.Prediction], result: InferenceResult, card: Card, wish: Wish = DEFAULT_WISH
) -> None:
    """Write the row of `result` that belongs to each of the empty `predictions`."""
    for prediction, label, scores in zip(predictions, result.labels.tolist(), result.scores.tolist(), strict=True):
        prediction.digit = label
        prediction.scores.extend(scores)
        second, best = sorted(scores)[-2:]
        prediction.margin = best - second
    if card.thresholds:
        labels, counts = _candidates(result, card, wish.coverage)
        for prediction, row, count in zip(predictions, labels.tolist(), counts.tolist(), strict=True):
            prediction.candidates.extend(row[:count])
    if result.not_a_digit is not None:
        for prediction, chance in zip(predictions, result.not_a_digit.tolist(), strict=True):
            prediction.not_a_digit = chance
            prediction.rejected = chance > wish.reject_above


def _candidates(result: InferenceResult, card: Card, coverage: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels of all classes of each image, best score first, and how many of the first are candidates."""
    order, counts = rank(result.scores, card.thresholds, coverage)
    return np.array(card.labels)[order], counts


@dataclass(frozen=True, slots=True)
class Layout:
    """How the prediction of one image is written: always as many bytes, and always at the same places."""

    template: bytes
    """A serialized `predictions` field whose numbers are still to be filled in."""
    digit: int
    """Where the digit stands, one byte."""
    scores: int
    """Where the scores stand, little-endian float32."""
    margin: int
    """Where the margin stands, likewise."""
    candidates: int
    """Where the candidates stand, one byte each."""
    not_a_digit: int
    """Where the chance that it is none stands, little-endian float32."""

    @classmethod
    def of(cls, card: Card, candidates: int = 0) -> "Layout":
        """For the classes of a card, labelled 0..127, and so many candidates."""
        fields: list[bytes] = [bytes([tag(pb.Prediction.DIGIT_FIELD_NUMBER, kind=0), 0])]
        fields += [length_delimited(pb.Prediction.SCORES_FIELD_NUMBER, bytes(4 * len(card.classes)))]
        fields += [bytes([tag(pb.Prediction.MARGIN_FIELD_NUMBER, kind=5)]) + bytes(4)]
        fields += [length_delimited(pb.Prediction.CANDIDATES_FIELD_NUMBER, bytes(candidates)) if candidates else b""]
        fields += [
            bytes([tag(pb.Prediction.NOT_A_DIGIT_FIELD_NUMBER, kind=5)]) + bytes(4) if card.detects_outliers else b""
        ]
        template = length_delimited(_PREDICTIONS, b"".join(fields))
        ends = list(accumulate(map(len, fields), initial=len(template) - sum(map(len, fields))))[1:]
        return cls(
            template, ends[0] - 1, ends[1] - 4 * len(card.classes), ends[2] - 4, ends[3] - candidates, ends[4] - 4
        )

    def write(self, result: InferenceResult, candidates: NDArray[np.int64] | None = None) -> bytes:
        """The predictions of all rows, back to back; labels of the `candidates` [N, those it is a layout for]."""
        rows, classes = result.scores.shape
        if rows == 1:  # arrays of one cost more than the work
            return self._write_one(result, candidates)
        out = np.empty((rows, len(self.template)), np.uint8)
        out[:] = np.frombuffer(self.template, np.uint8)
        best = np.partition(result.scores, classes - 2, axis=1)[:, -2:]
        out[:, self.digit] = result.labels
        _put(out, self.scores, result.scores)
        _put(out, self.margin, best[:, 1:] - best[:, :1])
        if candidates is not None:
            out[:, self.candidates : self.candidates + candidates.shape[1]] = candidates
        if result.not_a_digit is not None:
            _put(out, self.not_a_digit, result.not_a_digit[:, None])
        return out.tobytes()

    def _write_one(self, result: InferenceResult, candidates: NDArray[np.int64] | None) -> bytes:
        out = bytearray(self.template)
        values = result.scores[0].tolist()
        second, best = sorted(values)[-2:]
        out[self.digit] = result.labels[0]
        struct.pack_into(f"<{len(values)}f", out, self.scores, *values)
        struct.pack_into("<f", out, self.margin, best - second)
        if candidates is not None:
            out[self.candidates : self.candidates + candidates.size] = candidates.astype(np.uint8).tobytes()
        if result.not_a_digit is not None:
            struct.pack_into("<f", out, self.not_a_digit, result.not_a_digit[0])
        return bytes(out)


def _put(out: NDArray[np.uint8], start: int, values: NDArray[np.float32]) -> None:
    """Write `values` [N, width] into the bytes `out` [N, …] from `start` on, as little-endian float32."""
    raw = np.ascontiguousarray(values, dtype="<f4").view(np.uint8)
    out[:, start : start + raw.shape[1]] = raw


def write_with_candidates(layouts: Sequence[Layout], result: InferenceResult, card: Card) -> list[bytes]:
    """The prediction of each row, with its candidates at the default coverage; `layouts` are for 0, 1, … of them."""
    labels, counts = _candidates(result, card, DEFAULT_COVERAGE)
    written = [b""] * len(counts)
    for count in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == count)
        chances = None if result.not_a_digit is None else result.not_a_digit[rows]
        alike = InferenceResult(result.labels[rows], result.scores[rows], (), not_a_digit=chances)
        together = layouts[count].write(alike, labels[rows, :count])
        size = len(layouts[count].template)
        for place, row in enumerate(rows.tolist()):
            written[row] = together[size * place : size * (place + 1)]
    return written
