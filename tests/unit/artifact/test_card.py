"""A card is read as it was written, or refused with the name of the field."""

import dataclasses
import json

import onnx
import pytest

from artifact.card import Bin, Card, CardError
from artifact.store import VersionFolder, find_versions
from tests.support.server import MODELS

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


def test_what_scores_are_worth_comes_back_and_is_left_out_where_nobody_knows():
    """A card without a temperature has the bytes that it had before there were any."""
    card = Card.from_json(TEXT)
    assert (card.temperature, card.calibration_error, card.reliability, card.thresholds) == (None, None, (), ())
    later = {"temperature", "calibration_error", "reliability", "thresholds"}
    assert not later & json.loads(card.to_json()).keys()
    bins = (Bin(0, 0.0, 0.0), Bin(7, 0.75, 0.714286))
    calibrated = dataclasses.replace(
        card,
        temperature=0.85,
        calibration_error=0.0,
        reliability=bins,
        thresholds=tuple(0.5 + place / 100 for place in range(29)),
    )
    assert Card.from_json(calibrated.to_json()) == calibrated
    assert later <= json.loads(calibrated.to_json()).keys()


@pytest.mark.parametrize("folder", find_versions(MODELS), ids=lambda folder: f"{folder.name}:{folder.version}")
def test_cards_of_the_models_at_hand_keep_their_bytes(folder: VersionFolder):
    """What is in their metadata is what `to_json` makes of it."""
    [entry] = onnx.load(folder.onnx).metadata_props
    assert Card.from_json(entry.value).to_json() == entry.value


@pytest.mark.parametrize("folder", find_versions(MODELS), ids=lambda folder: f"{folder.name}:{folder.version}")
def test_card_files_of_the_models_at_hand_keep_their_bytes(folder: VersionFolder):
    """What `card.json` says, date included, is what `to_json` makes of it."""
    text = folder.card.read_text(encoding="utf-8")
    again = json.loads(Card.from_json(text).to_json(date=json.loads(text)["date"]))
    assert json.dumps(again, indent=2, sort_keys=True, ensure_ascii=False) + "\n" == text


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
        ("temperature", 0),
        ("temperature", "cold"),
        ("temperature", float("inf")),
        ("calibration_error", 1.5),
        ("calibration_error", float("nan")),
        ("reliability", {}),
        ("reliability", [[1, 0.5, 0.5]]),
        ("reliability", [{"images": 1, "mean_score": 0.5}]),
        ("reliability", [{"images": -1, "mean_score": 0.5, "accuracy": 0.5}]),
        ("reliability", [{"images": 1, "mean_score": 0.5, "accuracy": 1.5}]),
        ("thresholds", 0.5),
        ("thresholds", [0.5]),
        ("thresholds", [0.5] * 28 + [0.4]),
        ("thresholds", [0.5] * 28 + [1.5]),
        ("thresholds", [-0.5] + [0.5] * 28),
        ("thresholds", ["low"] * 29),
    ],
)
def test_a_field_out_of_bounds_is_named(field: str, value: object):
    """With what was expected of it."""
    with pytest.raises(CardError, match=rf"card: {field}\S* is (.*expected|missing)"):
        Card.from_json(changed(**{field: value}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"dataset": "\\ud800"}'])
def test_what_is_no_card_at_all_is_refused(text: str):
    """Whatever it is."""
    with pytest.raises(CardError, match="card: "):
        Card.from_json(text)
