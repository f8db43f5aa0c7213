"""Counts of lines that are read without a mistake."""

import numpy as np

from tests.support.cards import card
from training.data.dataset import Part
from training.evaluate.reading import evaluate_reading

FORM = card()
ROWS, COLS = np.indices((28, 28)) - 13.5
RING = (abs(np.hypot(ROWS, COLS) - 8) < 1.5).astype(np.uint8) * 255
BAR = ((abs(ROWS) < 10) & (abs(COLS) < 2)).astype(np.uint8) * 255
DIGITS = Part(np.stack([RING.ravel(), BAR.ravel()]), np.array([0, 1]))


def by_likeness(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A 0 or a 1 by which is nearer; what is near neither is no digit."""
    images, known = pixels.astype(float), DIGITS.pixels.astype(float)
    norms = np.linalg.norm(images, axis=1)[:, None] * np.linalg.norm(known, axis=1)
    likeness = images @ known.T / norms
    scores = np.zeros((len(pixels), 10))
    scores[np.arange(len(pixels)), likeness.argmax(axis=1)] = 1
    return scores, np.clip((0.75 - likeness.max(axis=1)) * 4, 0, 1)


def by_nothing(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A 7, whatever it is."""
    scores = np.zeros((len(pixels), 10))
    scores[:, 7] = 1
    return scores, np.zeros(len(pixels))


def test_lines_that_a_model_reads_are_counted():
    """Rings and bars that stand apart are read by their likeness, and none by a model that knows nothing."""
    found = evaluate_reading(by_likeness, DIGITS, FORM, 6)
    assert list(found) == ["apart", "touching"]
    assert found["apart"]["lines"] == found["touching"]["lines"] == 6
    assert found["apart"]["right"] >= 5
    assert evaluate_reading(by_nothing, DIGITS, FORM, 6) == {
        "apart": {"lines": 6, "right": 0},
        "touching": {"lines": 6, "right": 0},
    }
