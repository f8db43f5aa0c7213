"""Pairs and parts of digits, and printed letters, which are no digits."""

import numpy as np

from tests.support.cards import card
from training.data.dataset import Part
from training.data.fragments import draw_pairs, draw_parts
from training.data.letters import draw_printed, printed_letters

FORM = card()


def ones_and_rings() -> Part:
    """A bar and a ring of 20 pixels, labelled 1 and 0."""
    bar, ring = np.zeros((2, 28, 28), np.uint8)
    bar[4:24, 13:15] = 255
    rows, cols = np.indices((28, 28)) - 13.5
    ring[abs(np.hypot(rows, cols) - 8) < 1.5] = 255
    return Part(np.stack([bar.ravel(), ring.ravel()]), np.array([1, 0]))


def test_a_pair_is_wider_than_high():
    """Two rings side by side fill the box across, and only half of it down."""
    ring = ones_and_rings().pixels[1:]
    pairs = draw_pairs(ring, 20, FORM, np.random.default_rng(1)).reshape(-1, 28, 28)
    for pair in pairs:
        rows, cols = np.flatnonzero(pair.any(axis=1)), np.flatnonzero(pair.any(axis=0))
        assert np.ptp(cols) >= 18
        assert np.ptp(rows) <= 14


def test_parts_are_never_of_ones():
    """A part of a one is a one. Half a ring is narrower than the whole."""
    parts = draw_parts(ones_and_rings(), 30, FORM, np.random.default_rng(1)).reshape(-1, 28, 28)
    whole = ones_and_rings().pixels[1].reshape(28, 28)
    widths = [np.ptp(np.flatnonzero(part.any(axis=0))) for part in parts]
    assert min(widths) < 0.75 * np.ptp(np.flatnonzero(whole.any(axis=0)))
    assert min(widths) > 4  # a bar has two columns, brought to three


def test_they_are_drawn_again_alike():
    """The same seed gives the same images, another one others."""
    part = ones_and_rings()
    one, again, other = (draw_pairs(part.pixels, 8, FORM, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_printed_letters_to_fit_on_are_others_than_those_to_evaluate():
    """Other typefaces, so no image is the same."""
    random = np.random.default_rng(1)
    drawn = {draw_printed(FORM, random).tobytes() for _ in range(60)}
    assert len(drawn) > 50
    assert not drawn & {image.tobytes() for image in printed_letters(FORM)}
