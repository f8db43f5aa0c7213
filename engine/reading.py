"""How a picture is read: which way up it stands, and what its lines say. The service and batch jobs share it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from artifact.card import Card
from engine.models.session import InferenceResult
from imaging.pixels import WarningCode
from imaging.reading.choose import ReadLine, choose, quality
from imaging.reading.segment import Segmented

# A picture whose digits are as sure as this stands upright; another is read in all four directions.
_SURE = 0.8
# Another direction is taken if its digits are surer by this: where there are few, a 6 is a 9 upside down.
_SURER, _SURER_OF_FEW, _FEW = 0.15, 0.3, 2
_DIGITS = frozenset("0123456789")


@dataclass(frozen=True, slots=True)
class Reading:
    """A picture read in one direction."""

    segmented: Segmented
    lines: list[ReadLine]
    result: InferenceResult
    """Of all candidates."""
    quality: float
    """How sure its digits are, 0..1."""


@dataclass(frozen=True, slots=True)
class LineText:
    """What one line says."""

    text: str
    """See `ReadLine` in digits.proto."""
    score: float
    """The product of its digits' best scores, each times the chance that it is a digit."""
    rejected: int
    """Its digits whose chance to be none is above the caller's."""


def reads_digits(card: Card) -> bool:
    """Whether the classes of a model are the ten digits, by their names and labels."""
    return frozenset(card.classes) == _DIGITS and card.classes == tuple(map(str, card.labels))


def read(segmented: Segmented, results: Sequence[InferenceResult], classes: int) -> Reading:
    """The reading in one direction, from the results of the runs of all `segmented.pixels`."""
    result = joined(results, classes)
    lines = choose(segmented, result.scores, result.labels, result.not_a_digit)
    rows = chosen_rows(lines)
    chances = [] if result.not_a_digit is None else result.not_a_digit[rows].tolist()
    return Reading(segmented, lines, result, quality(result.scores[rows].max(axis=1).tolist(), chances))


def needs_turn(readings: Sequence[Reading | None]) -> bool:
    """Whether a picture is to be read in one direction more, after those of 0, 1, … quarter turns clockwise.

    None stands for a direction in which the picture shows too many marks.
    """
    if not readings:
        return True
    first = readings[0]
    return len(readings) < 4 and (first is None or (len(first.segmented.pixels) > 0 and first.quality < _SURE))


def best_turn(readings: Sequence[Reading | None]) -> int | None:
    """In which of 0, 1, … quarter turns the digits stand upright; None if all show too many marks."""
    first = readings[0]
    least = 0.0
    if first is not None:
        least = first.quality + (_SURER if len(chosen_rows(first.lines)) > _FEW else _SURER_OF_FEW)
    best, surest = (None, -1.0) if first is None else (0, least)
    for turn, reading in enumerate(readings):
        if turn and reading is not None and reading.quality > surest:
            best, surest = turn, reading.quality
    return best


def codes_of(reading: Reading, turns: int) -> list[WarningCode]:
    """What was seen in a picture that was turned by so many quarter turns."""
    return [*reading.segmented.codes, *([WarningCode.TURNED] if turns else [])]


def texts(reading: Reading, reject_above: float = 1.0) -> list[LineText]:
    """What each line says; a digit whose chance to be none is above `reject_above` is a `?`."""
    return [_text(line, reading.result, reject_above) for line in reading.lines]


def _text(line: ReadLine, result: InferenceResult, reject_above: float) -> LineText:
    rows = chosen_rows([line])
    chances = [0.0] * len(rows) if result.not_a_digit is None else result.not_a_digit[rows].tolist()
    rejected = [chance > reject_above for chance in chances]
    characters = ["?" if no else str(label) for no, label in zip(rejected, result.labels[rows].tolist(), strict=True)]
    best = result.scores[rows].max(axis=1).tolist()
    score = math.prod(score * (1 - chance) for score, chance in zip(best, chances, strict=True))
    return LineText(_in_fields(line, characters) if line.columns else "".join(characters), score, sum(rejected))


def _in_fields(line: ReadLine, characters: Sequence[str]) -> str:
    """The digits of a row of a grid, field by field."""
    fields = [""] * line.columns
    for cell, character in zip(line.cells, characters, strict=True):
        assert cell is not None
        fields[cell[1]] += character
    separator = "" if all(len(text) < 2 for text in fields) else " "
    return separator.join(text or "." for text in fields)


def chosen_rows(lines: Sequence[ReadLine]) -> list[int]:
    """The rows in the results of the digits of all `lines`."""
    return [candidate.row for line in lines for candidate in line.candidates]


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
