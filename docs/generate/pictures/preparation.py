"""The pictures of explanation/preparation.md: each measure of `imaging` on a picture that needs it.

A strip shows the picture, its pixels when this one measure is switched off, and its pixels as the service prepares
them, each with the digit that the default model finds. Digits are from pendigits, see training/data/sources/README.md.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from PIL import Image, ImageDraw, ImageFont

from artifact.card import Card
from artifact.names import INPUT, SCORES
from docs.generate.pictures.drawn import (
    SIDE,
    Floats,
    grainy,
    on_paper,
    peppered,
    placed,
    ruled,
    shaded,
    smudged,
    strokes,
)
from imaging.prepare import Prepared, prepare_grey

MODEL = Path(__file__).resolve().parents[3] / "models" / "mnist-256x128" / "2"
_GAP, _WORDS = 12, 22


@dataclass(frozen=True)
class Measure:
    """One measure of the preparation."""

    name: str
    picture: Floats
    """float32 [height, width], 0 black to 1 white."""
    off: Mapping[str, Any]
    """What takes the place of which function when the measure is switched off."""
    digit: int | None
    """What the picture shows; None for a blank one."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of a picture."""

    pixels: NDArray[np.uint8]
    """uint8 [28, 28], ink bright."""
    digit: int | None
    """The best class of the default model; None for a blank picture."""
    score: float
    codes: tuple[str, ...]
    """Of warnings."""


def _all_marks(marks: Any) -> tuple[NDArray[np.bool_], bool]:
    return np.ones(len(marks), np.bool_), False


def _from_white(grey: Floats, *, bright: bool) -> tuple[Floats, float]:
    """The departure from the brightest pixel, or the darkest, in place of that from the ground."""
    light = 1 - grey if bright else grey
    return light.max() - light, 0.0


def measures() -> tuple[Measure, ...]:
    """Every measure, in the order of the page."""
    three, five, two = strokes(3, 6), strokes(5, 12), strokes(2, 3)
    middle = placed(strokes(2, 3, 170), SIDE, SIDE, 35, 0)
    neighbours = np.maximum(placed(strokes(7, 2, 170), SIDE, SIDE, 35, 165), placed(middle[60:70], SIDE, SIDE, 5, 20))
    no_lines = {"imaging.ink.without_lines": lambda ink: (ink, False)}
    no_ground = {
        "imaging.ink.departures": _from_white,
        "imaging.ink.lasting": lambda grey, *_, **__: np.ones_like(grey),
    }
    return (
        Measure("polarity", on_paper(three, 0.9, 0.16), {"imaging.ink.ink_is_bright": lambda grey: False}, 3),
        Measure("ground", grainy(shaded(on_paper(two, 0.25))), no_ground, 2),
        Measure("noise", peppered(on_paper(five)), {"imaging.ink.without_salt": lambda grey: grey}, 5),
        Measure("lines", ruled(on_paper(three), 60), no_lines, 3),
        Measure("squares", ruled(on_paper(strokes(6, 5)), 48, squared=True), no_lines, 6),
        Measure("marks", on_paper(np.maximum(middle, neighbours)), {"imaging.ink.digit_marks": _all_marks}, 2),
        Measure("size", on_paper(placed(strokes(6, 3, 96), 1600, 1600, 300, 900)), {"imaging.ink._SMALL": 0}, 6),
        Measure("strokes", on_paper(strokes(8, 3, width=0.01)), {"imaging.prepare.grown": lambda ink, more: ink}, 8),
    )


def warned() -> tuple[Measure, ...]:
    """Pictures that are classified with a warning."""
    cut = placed(strokes(9, 4, 300), SIDE, SIDE, 10, -105)
    pair = np.maximum(placed(strokes(4, 1, 150), SIDE, SIDE, 45, -20), placed(strokes(7, 1, 150), SIDE, SIDE, 45, 95))
    return (
        Measure("touches_border", on_paper(cut), {}, 9),
        Measure("several_marks", on_paper(pair), {}, None),
        Measure("low_contrast", on_paper(strokes(3, 6), 0.83), {}, 3),
        Measure("blank", smudged(), {}, None),
    )


@cache
def _card() -> Card:
    return Card.from_json((MODEL / "card.json").read_text())


@cache
def _session() -> InferenceSession:
    return InferenceSession(MODEL / "model.onnx", providers=["CPUExecutionProvider"])


def outcome(measure: Measure, *, on: bool) -> Outcome:
    """What the service makes of the measure's picture, with it `on` or off."""
    with ExitStack() as stack:
        for name, other in () if on else measure.off.items():
            stack.enter_context(patch(name, other))
        prepared: Prepared = prepare_grey(measure.picture, _card())
    codes = tuple(warning.code.value for warning in prepared.warnings)
    pixels = prepared.pixels
    if "blank" in codes:
        return Outcome(pixels.reshape(28, 28), None, 0.0, codes)
    scores = _session().run([SCORES], {INPUT: pixels[None]})[0][0]
    return Outcome(pixels.reshape(28, 28), int(scores.argmax()), float(scores.max()), codes)


def strip(measure: Measure) -> Image.Image:
    """The picture, and the pixels without and with the measure, side by side."""
    given = Image.fromarray(np.rint(measure.picture * 255).astype(np.uint8)).resize((168, 168), Image.Resampling.BOX)
    shown = [(given, "the picture")]
    for on, word in ((False, "without"), (True, "with")) if measure.off else ((True, "prepared"),):
        found = outcome(measure, on=on)
        told = "blank" if found.digit is None else f"{found.digit}, score {found.score:.3f}"
        shown.append((Image.fromarray(found.pixels).resize((168, 168), Image.Resampling.NEAREST), f"{word}: {told}"))
    sheet = Image.new("L", (len(shown) * (168 + _GAP) - _GAP, 168 + _WORDS), 255)
    pen = ImageDraw.Draw(sheet)
    for place, (image, words) in enumerate(shown):
        sheet.paste(image, (place * (168 + _GAP), 0))
        pen.text((place * (168 + _GAP), 168 + 4), words, fill=0, font=ImageFont.load_default(14))
    return sheet


def write(folder: Path) -> None:
    """Write a WebP for each measure and each warning into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for measure in (*measures(), *warned()):
        strip(measure).save(folder / f"{measure.name}.webp", "WEBP", lossless=False, quality=70, method=6)
