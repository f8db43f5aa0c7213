"""How predictions are written: as messages, or, when nothing is odd about them, all rows of a batch at once."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    version: Version, answer: Answer, warnings: Warnings = (), activations_of: Rows | None = None
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
    scored = answer.scored
    for label, scores in zip(scored.labels.tolist(), scored.scores.tolist(), strict=True):
        prediction = response.predictions.add()
        prediction.digit = label
        prediction.scores.extend(scores)
        second, best = sorted(scores)[-2:]
        prediction.margin = best - second
    for row, warning in dict.fromkeys((*warnings, *scored.warnings)):
        response.predictions[row].warnings.append(warning)
    if activations_of is not None:
        values = (activations_of.tolist(), *(layer.tolist() for layer in scored.hidden))
        for name, rows in zip(("pixels", *version.session.card.hidden_names), values, strict=True):
            for prediction, row in zip(response.predictions, rows, strict=True):
                prediction.activations.add(name=name, values=row)
    return response


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
    def of(cls, classes: int) -> "Layout":
        """For that many classes, labelled 0..127."""
        digit = bytes([tag(pb.Prediction.DIGIT_FIELD_NUMBER, kind=0), 0])
        scores = length_delimited(pb.Prediction.SCORES_FIELD_NUMBER, bytes(4 * classes))
        margin = bytes([tag(pb.Prediction.MARGIN_FIELD_NUMBER, kind=5), 0, 0, 0, 0])
        template = length_delimited(_PREDICTIONS, digit + scores + margin)
        end = len(template)
        return cls(template, end - len(margin) - len(scores) - 1, end - len(margin) - 4 * classes, end - 4)

    def write(self, scored: Scored) -> bytes:
        """The predictions of all rows, back to back."""
        scores = scored.scores
        rows, classes = scores.shape
        if rows == 1:  # arrays of one cost more than the work
            values = scores[0].tolist()
            second, best = sorted(values)[-2:]
            return b"".join(
                (
                    self.template[: self.digit],
                    struct.pack("<B", scored.labels[0]),
                    self.template[self.digit + 1 : self.scores],
                    struct.pack(f"<{classes}f", *values),
                    self.template[self.scores + 4 * classes : self.margin],
                    struct.pack("<f", best - second),
                )
            )
        out = np.empty((rows, len(self.template)), np.uint8)
        out[:] = np.frombuffer(self.template, np.uint8)
        out[:, self.digit] = scored.labels
        out[:, self.scores : self.scores + 4 * classes] = scores.astype("<f4", copy=False).view(np.uint8)
        best = np.partition(scores, classes - 2, axis=1)[:, -2:]
        margins = (best[:, 1] - best[:, 0]).astype("<f4", copy=False)
        out[:, self.margin : self.margin + 4] = margins.view(np.uint8).reshape(rows, 4)
        return out.tobytes()
