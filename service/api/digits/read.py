"""Read: all digits of one picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb

from engine.decode_pool import DecodePool
from engine.errors import InvalidInput
from engine.models.batcher import BatchSlice
from engine.models.repository import Repository
from engine.models.session import InferenceResult
from engine.models.version import Version
from imaging.pixels import describe
from imaging.reading.choose import ReadLine, choose, quality
from imaging.reading.segment import Segmented
from service.api.digits.models import identity
from service.api.digits.predictions import write_predictions
from service.api.digits.wishes import read_wish
from service.api.method import Context

READ = "/digits.v1.DigitsService/Read"

# Rows of one run: the callers between whose runs they come wait no longer than for one another.
_ROWS = 64
# A picture whose digits are as sure as this stands upright; another is read in all four directions.
_SURE = 0.8
# Another direction is taken if its digits are surer by this.
_SURER = 0.1


@dataclass(frozen=True, slots=True)
class _Reading:
    """A picture read in one direction."""

    segmented: Segmented
    lines: list[ReadLine]
    result: InferenceResult
    """Of all candidates."""
    quality: float


class ReadApi:
    """The handler of Read."""

    def __init__(self, repository: Repository, decode_pool: DecodePool) -> None:
        self._repository = repository
        self._decode_pool = decode_pool

    async def read(self, request: pb.ReadRequest, context: Context) -> pb.ReadResponse:
        """The digits of a picture. The parts that may be digits go through the batcher like anyone's rows."""
        version = self._repository.find(request.model, request.version)
        context.calls = version.statistics.calls[READ]
        card = version.session.card
        if any(label not in range(10) for label in card.labels):
            raise InvalidInput("model", f"is {card.name}, whose classes are not digits, expected a model of digits")
        if not request.encoded_image:
            raise InvalidInput("encoded_image", "is empty, expected an image file")
        wish = read_wish(request, card)
        response = pb.ReadResponse()
        response.model.CopyFrom(identity(version))
        best, turns = await self._read(request.encoded_image, version, context, 0, response.timings), 0
        if len(best.segmented.pixels) and best.quality < _SURE:
            least = best.quality + _SURER
            for turn in (1, 2, 3):
                turned = await self._read(request.encoded_image, version, context, turn, response.timings)
                if turned.quality >= max(least, best.quality):
                    best, turns = turned, turn
        response.quarter_turns = turns
        response.height, response.width = best.segmented.shape
        for code in best.segmented.codes:
            warning = describe(code, card.pixel_max)
            response.warnings.append(warning.sentence)
            response.warning_codes.append(warning.code)
        _write(response, best)
        digits = [digit for line in response.lines for digit in line.digits]
        rows = [candidate.row for line in best.lines for candidate in line.candidates]
        write_predictions([digit.prediction for digit in digits], take_rows(best.result, rows), card, wish)
        _write_texts(response)
        return response

    async def _read(
        self, image: bytes, version: Version, context: Context, turns: int, timings: pb.Timings
    ) -> _Reading:
        """The picture turned by so many quarter turns."""
        card = version.session.card
        segmented = await self._decode_pool.segment(image, card, turns, context.deadline)
        slices: list[BatchSlice] = []
        for start in range(0, len(segmented.pixels), _ROWS):
            rows = segmented.pixels[start : start + _ROWS]
            await version.batcher.wait_for_capacity(len(rows), context.deadline)
            slices.append(await version.batcher.submit(rows, _answer, deadline=context.deadline))
        timings.queue_us += sum(each.queue_us for each in slices)
        timings.inference_us += sum(each.inference_us for each in slices)
        timings.batch_rows += sum(each.batch_rows for each in slices)
        result = joined([each.result for each in slices], len(card.classes))
        lines = choose(segmented, result.scores, result.labels, result.not_a_digit)
        chosen = [candidate.row for line in lines for candidate in line.candidates]
        chances = [] if result.not_a_digit is None else result.not_a_digit[chosen].tolist()
        return _Reading(segmented, lines, result, quality(result.scores[chosen].max(axis=1).tolist(), chances))


def _answer(answer: BatchSlice) -> BatchSlice:
    return answer


def joined(results: Sequence[InferenceResult], classes: int) -> InferenceResult:
    """The rows of all `results`, without hidden layers."""
    if not results:
        return InferenceResult(np.zeros(0, np.int64), np.zeros((0, classes), np.float32), ())
    chances = [result.not_a_digit for result in results if result.not_a_digit is not None]
    return InferenceResult(
        np.concatenate([result.labels for result in results]),
        np.concatenate([result.scores for result in results]),
        (),
        not_a_digit=np.concatenate(chances) if chances else None,
    )


def take_rows(result: InferenceResult, rows: Sequence[int]) -> InferenceResult:
    """Those rows of `result`, without hidden layers."""
    places = np.array(rows, np.int64)
    chances = None if result.not_a_digit is None else result.not_a_digit[places]
    return InferenceResult(result.labels[places], result.scores[places], (), not_a_digit=chances)


def _write(response: pb.ReadResponse, reading: _Reading) -> None:
    """The lines with their boxes, in pixels of the picture."""
    factor, (height, width) = reading.segmented.factor, reading.segmented.shape
    for line in reading.lines:
        written = response.lines.add()
        written.columns = line.columns
        for candidate, field in zip(line.candidates, line.cells, strict=True):
            digit = written.digits.add()
            top, bottom, left, right = candidate.box
            digit.box.left, digit.box.top = int(left * factor), int(top * factor)
            digit.box.width = max(1, min(round(right * factor), width) - digit.box.left)
            digit.box.height = max(1, min(round(bottom * factor), height) - digit.box.top)
            if field is not None:
                digit.field.row, digit.field.column = field


def _write_texts(response: pb.ReadResponse) -> None:
    """Texts and scores, from the predictions."""
    scores = []
    for line in response.lines:
        texts = ["?" if digit.prediction.rejected else str(digit.prediction.digit) for digit in line.digits]
        line.text = _in_fields(line, texts) if line.columns else "".join(texts)
        chances = [max(digit.prediction.scores) * (1 - digit.prediction.not_a_digit) for digit in line.digits]
        line.score = float(np.prod(chances))
        scores.append(line.score)
    response.text = "\n".join(line.text for line in response.lines)
    response.score = float(np.prod(scores)) if scores else 0.0


def _in_fields(line: pb.ReadLine, texts: Sequence[str]) -> str:
    """The digits of a row of a grid, field by field."""
    fields = ["" for _ in range(line.columns)]
    for digit, text in zip(line.digits, texts, strict=True):
        fields[digit.field.column] += text
    separator = "" if all(len(text) < 2 for text in fields) else " "
    return separator.join(text or "." for text in fields)
