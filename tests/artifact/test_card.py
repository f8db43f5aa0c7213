"""A card is read as it was written, or refused with the name of the field."""

import json

import pytest

from artifact.card import Card, CardError
from tests.harness import MODELS

TEXT = (MODELS / "mnist-16x16" / "2" / "card.json").read_text()


def changed(**fields: object) -> str:
    return json.dumps(json.loads(TEXT) | fields)


def test_a_card_comes_back_as_it_was_and_always_as_the_same_bytes():
    """`from_json` is the inverse of `to_json`; keys it does not know, as the date, are passed over."""
    card = Card.from_json(TEXT)
    assert Card.from_json(card.to_json()) == card
    assert card.to_json() == Card.from_json(card.to_json()).to_json()
    assert card.parameters == 13_002
    assert card.hidden_names == ("hidden_1", "hidden_2")


@pytest.mark.parametrize("missing", ["name", "rows", "classes", "layer_widths", "tolerance", "dataset"])
def test_a_missing_field_is_named(missing: str):
    """Those that have no default."""
    raw = json.loads(TEXT)
    del raw[missing]
    with pytest.raises(CardError, match=f"card: {missing} is missing"):
        Card.from_json(json.dumps(raw))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ".."),
        ("name", "a/b"),
        ("version", 0),
        ("version", "1"),
        ("version", True),
        ("rows", 0),
        ("cols", 5000),
        ("pixel_max", 256),
        ("pixel_scale", 0),
        ("pixel_scale", 10**400),
        ("pixel_scale", "1/255"),
        ("pixel_offset", float("nan")),
        ("preparation", "magic"),
        ("classes", ["0"]),
        ("classes", "0123456789"),
        ("labels", [1, 2]),
        ("labels", [2**31, *range(9)]),
        ("layer_widths", [784]),
        ("layer_widths", [783, 10]),
        ("layer_widths", [784, 16, 9]),
        ("activation", "swish"),
        ("output_activation", "none"),
        ("members", 0),
        ("members", 10**9),
        ("seed", 2**63),
        ("seed", 1.5),
        ("test_rows", -1),
        ("accuracy", 1.1),
        ("confusion", [[1]]),
        ("confusion", [[-1] * 10] * 10),
        ("confusion", [["1"] * 10] * 10),
        ("tolerance", {}),
        ("tolerance", {"CPUExecutionProvider": "small"}),
        ("tolerance", {"CPUExecutionProvider": -1}),
        ("libraries", {"numpy": 2}),
        ("recipe", []),
    ],
)
def test_a_field_out_of_bounds_is_named(field: str, value: object):
    """With what was expected of it."""
    with pytest.raises(CardError, match=rf"card: {field} is .*expected"):
        Card.from_json(changed(**{field: value}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"dataset": "\\ud800"}'])
def test_what_is_no_card_at_all_is_refused(text: str):
    """Whatever it is."""
    with pytest.raises(CardError, match="card: "):
        Card.from_json(text)
