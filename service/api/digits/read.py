"""Read: all digits of one picture."""

import asyncio
import math

from digits_protocol.digits.v1 import digits_pb2 as pb

from engine.decode_pool import DecodePool
from engine.errors import InvalidInput
from engine.models.batcher import BatchSlice
from engine.models.repository import Repository
from engine.models.version import Version
from engine.reading import Reading, best_turn, chosen_rows, codes_of, needs_turn, read, reads_digits, take_rows, texts
from imaging.pixels import describe
from imaging.reading.segment import Segmented
from service.api.digits.models import identity
from service.api.digits.predictions import write_predictions
from service.api.digits.wishes import read_wish
from service.api.method import Context

READ = "/digits.v1.DigitsService/Read"


class ReadApi:
    """The handler of Read."""

    def __init__(self, repository: Repository, decode_pool: DecodePool) -> None:
        self._repository = repository
        self._decode_pool = decode_pool

    async def read(self, request: pb.ReadRequest, context: Context) -> pb.ReadResponse:
        """The digits of a picture. The parts that may be digits go through the batcher like anyone's rows."""
        version = await self._repository.find_loaded(request.model, request.version)
        context.calls = version.statistics.calls[READ]
        card = version.session.card
        if not reads_digits(card):
            raise InvalidInput(
                "model", f"is {card.name}, whose classes are not the ten digits, expected a model of digits"
            )
        if not request.encoded_image:
            raise InvalidInput("encoded_image", "is empty, expected an image file")
        wish = read_wish(request, card)
        response = pb.ReadResponse()
        response.model.CopyFrom(identity(version))
        readings: list[Reading | None] = []
        while needs_turn(readings):
            segmented = await self._decode_pool.segment(request.encoded_image, card, len(readings), context.deadline)
            if isinstance(segmented, str):
                refusal = InvalidInput("encoded_image", segmented)
                readings.append(None)
            else:
                readings.append(await _read(segmented, version, context, response.timings))
        turns = best_turn(readings)
        best = None if turns is None else readings[turns]
        if turns is None or best is None:
            raise refusal
        response.quarter_turns = turns
        response.height, response.width = best.segmented.shape
        for code in codes_of(best, turns):
            warning = describe(code, card.pixel_max)
            response.warnings.append(warning.sentence)
            response.warning_codes.append(warning.code)
        _write_lines(response, best, wish.reject_above)
        digits = [digit for line in response.lines for digit in line.digits]
        result = take_rows(best.result, chosen_rows(best.lines))
        write_predictions([digit.prediction for digit in digits], result, card, wish)
        return response


async def _read(segmented: Segmented, version: Version, context: Context, timings: pb.Timings) -> Reading:
    """What the model makes of the parts of a picture in one direction; adds to `timings`."""
    slices: list[BatchSlice] = []
    step = version.batcher.slice_rows
    for start in range(0, len(segmented.pixels), step):
        rows = segmented.pixels[start : start + step]
        await version.batcher.wait_for_capacity(len(rows), context.deadline)
        encode = _answer if context.record is None else context.record.observed(version, len(rows), _answer)
        slices.append(await version.batcher.submit(rows, encode, deadline=context.deadline))
    timings.queue_us += sum(each.queue_us for each in slices)
    timings.inference_us += sum(each.inference_us for each in slices)
    timings.batch_rows += sum(each.batch_rows for each in slices)
    classes = len(version.session.card.classes)
    return await asyncio.to_thread(read, segmented, [each.result for each in slices], classes)


def _answer(answer: BatchSlice) -> BatchSlice:
    return answer


def _write_lines(response: pb.ReadResponse, reading: Reading, reject_above: float) -> None:
    """The lines with their texts, and with the boxes of their digits in pixels of the picture."""
    factor, (height, width) = reading.segmented.factor, reading.segmented.shape
    told = texts(reading, reject_above)
    response.text = "\n".join(each.text for each in told)
    response.score = math.prod(each.score for each in told) if told else 0.0
    for line, each in zip(reading.lines, told, strict=True):
        written = response.lines.add(text=each.text, score=each.score, columns=line.columns)
        for candidate, field in zip(line.candidates, line.cells, strict=True):
            digit = written.digits.add()
            top, bottom, left, right = candidate.box
            digit.box.left, digit.box.top = int(left * factor), int(top * factor)
            digit.box.width = max(1, min(round(right * factor), width) - digit.box.left)
            digit.box.height = max(1, min(round(bottom * factor), height) - digit.box.top)
            if field is not None:
                digit.field.row, digit.field.column = field
