"""What classes are called, and which one a value means."""

import dataclasses

import numpy as np
import pytest

from artifact.card import Card, CardError
from artifact.classes import ClassIndex, as_whole, class_numbers
from tests.support.server import MODELS


@pytest.mark.parametrize(
    "value",
    [
        *(7, 7.0, np.int8(7), np.float32(7)),
        *("7", " 7 ", "7.0", "7.000", "+7", "007", "7e0", "7.000e+00", b"7"),
    ],
)
def test_a_whole_number_is_one_however_it_is_written(value):
    assert as_whole(value) == 7


@pytest.mark.parametrize(
    "value",
    [
        *(7.5, None, float("nan"), float("inf"), 2**31, [7]),
        *("7.5", "seven", "", str(2**31), "1_0", "1e-1", "1e999", "٧", "9" * 5000),
    ],
)
def test_what_is_no_whole_number_of_32_bits_is_none(value):
    assert as_whole(value) is None


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("4", "9"), (4, 9)),
        (("1", "10", "2"), (1, 10, 2)),
        (("-1", "1"), (-1, 1)),
        (("1", "2", "x"), None),
        (("3", "03"), None),
        (("cat", "dog"), None),
    ],
)
def test_names_are_numbers_only_all_together(names, numbers):
    assert class_numbers(names) == numbers


@pytest.mark.parametrize(
    ("names", "labels", "value", "place"),
    [
        (("4", "9"), (4, 9), 9, 1),
        (("4", "9"), (4, 9), "9.0", 1),
        (("4", "9"), (4, 9), 1, None),
        (("1", "2", "x"), (0, 1, 2), 1, 0),
        (("1", "2", "x"), (0, 1, 2), "1", 0),
        (("1", "2", "x"), (0, 1, 2), 0, None),
        (("1", "2", "x"), (0, 1, 2), "x", 2),
        (("cat", "dog"), (0, 1), 1, 1),
        (("cat", "dog"), (0, 1), "dog", 1),
        (("cat", "dog"), (0, 1), "1", 1),
        (("four", "nine"), (4, 9), 9, 1),
        (("3", "03"), (0, 1), "03", 1),
        (("1", "2", "other"), (0, 1, 2), "eight", None),
        (("1", "2", "other"), (0, 1, 2), "", None),
        (("1", "2", "other"), (0, 1, 2), None, None),
        ((" a", "a", "b c"), (0, 1, 2), "a", 1),
        ((" a", "a", "b c"), (0, 1, 2), " a", 0),
        ((" a", "a", "b c"), (0, 1, 2), " b c ", 2),
        (("0", "1"), (0, 1), "True", 1),
        (("0", "1"), (0, 1), False, 0),
        (("3", "03"), (0, 1), "3.0", None),
    ],
)
def test_a_value_means_one_class_as_a_number_and_as_text(names, labels, value, place):
    assert ClassIndex(names, labels).find(value) == place


def test_a_card_whose_labels_are_not_its_classes_is_refused():
    """It would answer the position of a class that has a number for a name."""
    card = Card.from_json((MODELS / "mnist-16x16" / "2" / "card.json").read_text())
    with pytest.raises(CardError, match="labels"):
        dataclasses.replace(card, classes=tuple("1234567890"))
