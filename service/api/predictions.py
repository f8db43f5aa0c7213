"""How predictions are written: as messages, or, when nothing is odd about them, all rows of a batch at once."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from artifact.candidates import DEFAULT_COVERAGE, rank
from artifact.card import Card
from service.api.models import identity
from service.api.wire import length_delimited, tag
from service.runtime.batcher import Answer
from service.runtime.session import Scored
from service.runtime.version import Version
from stubs.digits.v1 import digits_pb2 as pb

_PREDICTIONS = pb.ClassifyResponse.PREDICTIONS_FIELD_NUMBER

Rows = NDArray[np.uint8]
Warnings = Sequence[tuple[int, str]]
"""(row, sentence)"""


def write_response(
    version: Version,
    answer: Answer,
    warnings: Warnings = (),
    activations_of: Rows | None = None,
    coverage: float = DEFAULT_COVERAGE,
) -> pb.ClassifyResponse:
    """The answer to one caller, with what looked wrong with the images as they came.

    The candidates are those at `coverage`, where the card has thresholds. With the pixels `activations_of`,
    uint8 [N, rows*cols], the values of every layer are written too.
    """
    # Fields set one by one: twice as fast as the constructor's keywords.
    response = pb.ClassifyResponse()
    response.model.CopyFrom(identity(version))
    timings = response.timings
    timings.queue_us = answer.queue_us
    timings.inference_us = answer.inference_us
    timings.batch_rows = answer.batch_rows
    scored = answer.scored
    for label, scores in zip(scored.labels.tolist(), scored.scores.tolist(), strict=True):
        prediction = response.predictions.add()
        prediction.digit = label
        prediction.scores.extend(scores)
        second, best = sorted(scores)[-2:]
        prediction.margin = best - second
    for row, warning in dict.fromkeys((*warnings, *scored.warnings)):
        response.predictions[row].warnings.append(warning)
    card = version.session.card
    if card.thresholds:
        labels, counts = _candidates(scored, card, coverage)
        for prediction, row, count in zip(response.predictions, labels.tolist(), counts.tolist(), strict=True):
            prediction.candidates.extend(row[:count])
    if activations_of is not None:
        values = (activations_of.tolist(), *(layer.tolist() for layer in scored.hidden))
        for name, rows in zip(("pixels", *card.hidden_names), values, strict=True):
            for prediction, row in zip(response.predictions, rows, strict=True):
                prediction.activations.add(name=name, values=row)
    return response


def _candidates(scored: Scored, card: Card, coverage: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels of all classes of each image, best score first, and how many of the first are candidates."""
    order, counts = rank(scored.scores, card.thresholds, coverage)
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

    @classmethod
    def of(cls, classes: int, candidates: int = 0) -> "Layout":
        """For that many classes, labelled 0..127, and candidates, which stand at the end, one byte each."""
        digit = bytes([tag(pb.Prediction.DIGIT_FIELD_NUMBER, kind=0), 0])
        scores = length_delimited(pb.Prediction.SCORES_FIELD_NUMBER, bytes(4 * classes))
        margin = bytes([tag(pb.Prediction.MARGIN_FIELD_NUMBER, kind=5), 0, 0, 0, 0])
        last = length_delimited(pb.Prediction.CANDIDATES_FIELD_NUMBER, bytes(candidates)) if candidates else b""
        template = length_delimited(_PREDICTIONS, digit + scores + margin + last)
        end = len(template) - len(last)
        return cls(template, end - len(margin) - len(scores) - 1, end - len(margin) - 4 * classes, end - 4)

    def write(self, scored: Scored, candidates: NDArray[np.int64] | None = None) -> bytes:
        """The predictions of all rows, back to back; labels of the `candidates` [N, those it is a layout for]."""
        scores = scored.scores
        rows, classes = scores.shape
        if rows == 1:  # arrays of one cost more than the work
            values = scores[0].tolist()
            second, best = sorted(values)[-2:]
            last: tuple[bytes, ...] = ()
            if candidates is not None:
                head = self.template[self.margin + 4 : len(self.template) - candidates.size]
                last = head, candidates.astype(np.uint8).tobytes()
            return b"".join(
                (
                    self.template[: self.digit],
                    struct.pack("<B", scored.labels[0]),
                    self.template[self.digit + 1 : self.scores],
                    struct.pack(f"<{classes}f", *values),
                    self.template[self.scores + 4 * classes : self.margin],
                    struct.pack("<f", best - second),
                    *last,
                )
            )
        out = np.empty((rows, len(self.template)), np.uint8)
        out[:] = np.frombuffer(self.template, np.uint8)
        out[:, self.digit] = scored.labels
        out[:, self.scores : self.scores + 4 * classes] = scores.astype("<f4", copy=False).view(np.uint8)
        best = np.partition(scores, classes - 2, axis=1)[:, -2:]
        margins = (best[:, 1] - best[:, 0]).astype("<f4", copy=False)
        out[:, self.margin : self.margin + 4] = margins.view(np.uint8).reshape(rows, 4)
        if candidates is not None:
            out[:, out.shape[1] - candidates.shape[1] :] = candidates
        return out.tobytes()


def write_with_candidates(layouts: Sequence[Layout], scored: Scored, card: Card) -> list[bytes]:
    """The prediction of each row, with its candidates at the default coverage; `layouts` are for 0, 1, … of them."""
    labels, counts = _candidates(scored, card, DEFAULT_COVERAGE)
    written = [b""] * len(counts)
    for count in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == count)
        alike = Scored(scored.labels[rows], scored.scores[rows], ())
        together = layouts[count].write(alike, labels[rows, :count])
        size = len(layouts[count].template)
        for place, row in enumerate(rows.tolist()):
            written[row] = together[size * place : size * (place + 1)]
    return written
