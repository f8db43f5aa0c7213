"""In which direction a picture stands upright, and which models read digits."""

import dataclasses

import numpy as np
import pytest

from engine.models.session import InferenceResult
from engine.reading import Reading, best_turn, codes_of, needs_turn, reads_digits
from imaging.pixels import WarningCode
from imaging.reading.choose import ReadLine
from imaging.reading.segment import Candidate, Segmented
from tests.support.cards import card


def reading(quality: float, digits: int = 1) -> Reading:
    """A reading of so many digits in one line that are as sure as this."""
    candidates = tuple(Candidate(place, place + 1, (0, 9, 0, 9), 0.0, 0, place) for place in range(digits))
    segmented = Segmented(np.zeros((digits, 4), np.uint8), (), 1.0, (9, 9), (WarningCode.LOW_CONTRAST,))
    line = ReadLine(candidates, (None,) * digits, 0)
    result = InferenceResult(np.zeros(digits, np.int64), np.zeros((digits, 10), np.float32), ())
    return Reading(segmented, [line], result, quality)


@pytest.mark.parametrize(
    ("qualities", "more"),
    [([], True), ([0.81], False), ([0.79], True), ([0.5, 0.9], True), ([None], True), ([0.5] * 4, False)],
)
def test_an_unsure_picture_is_turned(qualities: list[float | None], more: bool):
    """Until it was read in all four directions; one with too many marks as it stands is turned, too."""
    assert needs_turn([None if each is None else reading(each) for each in qualities]) is more


@pytest.mark.parametrize(
    ("qualities", "digits", "turn"),
    [
        ([0.5, 0.6, 0.64, 0.6], 5, 0),
        ([0.5, 0.6, 0.66, 0.8], 5, 3),
        ([0.5, 0.6, 0.75, 0.6], 1, 0),
        ([0.5, 0.6, 0.81, 0.6], 1, 2),
        ([0.5, None, 0.81, None], 1, 2),
        ([None, 0.2, None, 0.1], 5, 1),
        ([None, None, None, None], 5, None),
    ],
)
def test_a_turn_has_to_be_much_surer(qualities: list[float | None], digits: int, turn: int | None):
    """More so for one digit or two: a 6 is a 9 upside down. Directions with too many marks are passed over."""
    assert best_turn([None if each is None else reading(each, digits) for each in qualities]) == turn


def test_a_turned_picture_says_so():
    """Beside what was seen in it."""
    assert codes_of(reading(0.9), 0) == [WarningCode.LOW_CONTRAST]
    assert codes_of(reading(0.9), 2) == [WarningCode.LOW_CONTRAST, WarningCode.TURNED]


def test_digits_are_read_by_models_of_the_ten_digits():
    """By name and label: letters have the labels 0 to 9, too."""
    ten = dataclasses.replace(card(), classes=tuple("0123456789"), labels=tuple(range(10)), layer_widths=(784, 10))
    assert reads_digits(ten)
    assert not reads_digits(dataclasses.replace(ten, classes=tuple("abcdefghij")))
    assert not reads_digits(card())
