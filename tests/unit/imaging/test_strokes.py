"""Strokes are measured, and moved to a width without being lost."""

import numpy as np
import pytest

from imaging.prepare import place
from imaging.strokes import grown, stroke_width
from tests.support.cards import card
from tests.unit.imaging.pictures import seven


def bar(width: int) -> np.ndarray:
    picture = np.zeros((120, 120), np.float32)
    picture[20:100, 60 - width // 2 : 60 - width // 2 + width] = 1
    return picture


@pytest.mark.parametrize("width", [6, 10, 16])
def test_the_width_of_a_bar(width: int):
    """Within a third: the outline of a bar that is upright is overstated least."""
    assert stroke_width(bar(width)) == pytest.approx(width, rel=0.33)


@pytest.mark.parametrize("more", [1.0, 2.5, 4.0, -1.0, -2.0])
def test_a_stroke_grows_on_either_side(more: float):
    """By as many pixels, fractions as shades."""
    across = grown(bar(12), more)
    assert across[len(across) // 2].sum() == pytest.approx(12 + 2 * more, abs=0.3)


def test_what_is_too_thin_to_shrink_stays():
    """A hairline beside a thick stroke is not lost when both are made thinner."""
    picture = bar(20)
    picture[20:100, 100] = 1
    assert (grown(picture, -4)[30:90, 100] == 1).all()


@pytest.mark.parametrize("width", [2, 4, 12, 24])
def test_digits_of_any_pen_have_strokes_of_like_width(width: int):
    """From a hairline to a marker, in the model's pixels: two to three."""
    pixels = place((1 - seven(width=width)).astype(np.float32), card()).reshape(28, 28)
    assert 1.7 < stroke_width(pixels.astype(np.float32)) < 3.3
