"""What pictures of several digits say: read in this process, or by a server."""

import math
from collections.abc import Callable

import numpy as np
from digits_client import Reading as Answer
from numpy.typing import NDArray

from artifact.card import Card
from engine.models.session import InferenceResult
from engine.reading import Reading, best_turn, chosen_rows, codes_of, needs_turn, read, texts
from imaging.decode import ImageError
from imaging.reading.segment import TooManyMarksError, segment_file
from scoring.chunk import PictureError, PictureText
from scoring.scorers.scorer import MAX_IMAGE_PIXELS

_RUN_ROWS = 64  # of one run: the values of more do not stay in the cache


def read_picture(
    picture: bytes, card: Card, run: Callable[[NDArray[np.uint8]], InferenceResult], reject_above: float | None
) -> PictureText:
    """What an image file says to the model of `card`, which `run` runs. Raises `PictureError`."""
    readings: list[Reading | None] = []
    while needs_turn(readings):
        try:
            segmented = segment_file(picture, card, turns=len(readings), max_image_pixels=MAX_IMAGE_PIXELS)
        except ImageError as error:
            raise PictureError(str(error)) from None
        except TooManyMarksError as error:
            refusal = str(error)
            readings.append(None)
            continue
        starts = range(0, len(segmented.pixels), _RUN_ROWS)
        results = [run(segmented.pixels[start : start + _RUN_ROWS]) for start in starts]
        readings.append(read(segmented, results, len(card.classes)))
    turns = best_turn(readings)
    best = None if turns is None else readings[turns]
    if turns is None or best is None:
        raise PictureError(refusal)
    lines = texts(best, 1.0 if reject_above is None else reject_above)
    return PictureText(
        text="\n".join(line.text for line in lines),
        score=math.prod(line.score for line in lines) if lines else 0.0,
        digits=len(chosen_rows(best.lines)),
        quarter_turns=turns,
        rejected=sum(line.rejected for line in lines),
        codes=tuple(codes_of(best, turns)),
    )


def text_of(answer: Answer) -> PictureText:
    """What a server's answer says."""
    return PictureText(
        text=answer.text,
        score=answer.score,
        digits=len(answer.digits),
        quarter_turns=answer.quarter_turns,
        rejected=sum(digit.prediction.rejected for digit in answer.digits),
        codes=answer.warning_codes,
    )
