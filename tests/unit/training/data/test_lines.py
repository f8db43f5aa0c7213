"""Digits cut out of pictures of lines."""

import os
import subprocess

import numpy as np
import pytest

from tests.support.cards import card
from training.child import ChildError
from training.data import lines
from training.data.dataset import Part
from training.data.lines import draw_crops

FORM = card()
ROWS, COLS = np.indices((28, 28)) - 13.5
RING = (abs(np.hypot(ROWS, COLS) - 8) < 1.5).astype(np.uint8) * 255
BAR = ((abs(ROWS) < 10) & (abs(COLS) < 2)).astype(np.uint8) * 255
DIGITS = Part(np.stack([RING.ravel(), BAR.ravel()]), np.array([0, 1]))


@pytest.fixture(scope="module")
def crops():
    return draw_crops(DIGITS, 12, FORM, seed=3)


def test_what_is_cut_out_is_the_digit_of_its_class(crops):
    """Rings are as wide as high and empty in the middle, bars are narrow; all fill the box."""
    images = crops.digits.pixels.reshape(-1, 28, 28)
    assert set(crops.digits.labels.tolist()) == {0, 1}
    wide = np.array([np.ptp(np.flatnonzero((image > 127).any(axis=0))) for image in images])
    assert wide[crops.digits.labels == 0].min() > 11
    assert np.median(wide[crops.digits.labels == 0]) > 15
    assert np.median(wide[crops.digits.labels == 1]) < 9
    assert np.median(images[crops.digits.labels == 0][:, 12:16, 12:16].mean(axis=(1, 2))) < 30


def test_what_is_no_digit_is_like_none(crops):
    """Halves of rings, and two digits in one: their images differ from those of a whole ring and a whole bar."""
    assert len(crops.others) > 20
    whole = np.stack([crops.digits.pixels[crops.digits.labels == label].mean(axis=0) for label in (0, 1)])
    likeness = crops.others @ whole.T / np.linalg.norm(crops.others.astype(float), axis=1)[:, None]
    own = crops.digits.pixels @ whole.T / np.linalg.norm(crops.digits.pixels.astype(float), axis=1)[:, None]
    assert np.median(likeness.max(axis=1)) < 0.8 * np.median(own.max(axis=1))


def test_they_are_drawn_again_alike(crops):
    """The same seed gives the same images, another one others."""
    again, other = (draw_crops(DIGITS, 12, FORM, seed) for seed in (3, 4))
    np.testing.assert_array_equal(crops.digits.pixels, again.digits.pixels)
    np.testing.assert_array_equal(crops.others, again.others)
    assert not np.array_equal(crops.others, other.others)


def test_no_line_gives_no_crop():
    """The shapes stay."""
    nothing = draw_crops(DIGITS, 0, FORM, seed=1)
    assert nothing.digits.pixels.shape == nothing.others.shape == (0, 784)
    assert len(nothing.digits) == 0


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_any_number_of_processes_draws_the_same(monkeypatch, cores: int):
    """What they draw is put together in the order of the lines."""
    monkeypatch.setattr(lines, "_CHUNK", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
    drawn = draw_crops(DIGITS, 3, FORM, seed=3)
    random = np.random.default_rng(3)
    alone = []
    for _ in range(3):
        chosen = random.integers(0, 2, lines.LONGEST)
        part = Part(DIGITS.pixels[chosen], DIGITS.labels[chosen])
        alone.append(lines._draw(FORM, (part, 1, int(random.integers(2**31)))))
    np.testing.assert_array_equal(drawn.digits.pixels, np.concatenate([each.digits.pixels for each in alone]))
    np.testing.assert_array_equal(drawn.digits.labels, np.concatenate([each.digits.labels for each in alone]))
    np.testing.assert_array_equal(drawn.others, np.concatenate([each.others for each in alone]))


def test_a_process_that_is_killed_is_an_error(monkeypatch):
    """Nothing waits for it, and the others end."""
    started = []

    class Killed(subprocess.Popen):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            started.append(self)
            self.kill()

    monkeypatch.setattr(subprocess, "Popen", Killed)
    monkeypatch.setattr(lines, "_CHUNK", 6)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2), raising=False)
    with pytest.raises(ChildError, match=r"^the process that draws lines ended, exit code -9$"):
        draw_crops(DIGITS, 12, FORM, seed=3)
    assert [each.returncode for each in started] == [-9, -9]
