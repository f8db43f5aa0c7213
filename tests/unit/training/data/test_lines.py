"""Digits cut out of pictures of lines."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from tests.support.cards import card
from tests.support.processes import ROOT
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


_ENDLESS = """
import sys, time
from tests.unit.training.data.test_lines import DIGITS, FORM
from training.data import lines
def draw(form, task):
    print("drawing", file=sys.stderr, flush=True)
    while True:
        time.sleep(60)
if __name__ == "__main__":
    lines._draw = draw
    lines.draw_crops(DIGITS, 400, FORM, seed=1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_processes_that_draw_end_with_the_first_one(tmp_path, number: signal.Signals):
    """By Ctrl-C, which reaches all of them and which the first one alone reports, and when the first one is killed."""
    program = tmp_path / "endless.py"
    program.write_text(_ENDLESS)
    process = subprocess.Popen(
        [sys.executable, program],
        env={"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "drawing\n"  # a process that draws has begun
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.kill()
        _, rest = process.communicate(timeout=120)  # it returns when no process has the pipe any more
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert rest.count("Traceback") == (number == signal.SIGINT)
