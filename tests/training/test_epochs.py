"""The second process, which distorts while the first learns: the same images, and an end in every case."""

import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cli.train import train
from training.augment import Distortion, Warp, warped
from training.datasets import digits
from training.epochs import EpochError, epoch_images
from training.fit import fit
from training.fitted_file import skops_bytes
from training.recipes import find

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 60
DISTORTION = Distortion(rotation=7, scale=0.07, shear=0.07, shift=0.4, alpha=4, sigma=3)
IMAGES = np.random.default_rng(5).uniform(0, 16, (50, 64)).astype(np.float32)
TINY = dataclasses.replace(find("digits-8x8")[0], hidden=(6, 5), epochs=6, batch=128, warp=DISTORTION)

# A fit whose epochs take long enough to be killed in the middle.
SLOW = """
import sys, time
from pathlib import Path
from tests.training.test_epochs import TINY
from training.datasets import digits
from training.fit import fit
def wait(epoch, loss):
    print(epoch, flush=True)
    time.sleep(0.2)
fit(TINY, digits(), digits().train, seed=1, checkpoint=Path(sys.argv[1]), on_epoch=wait)
"""


def epochs_of(warp: Warp | Distortion | None, epochs: range, images: np.ndarray = IMAGES) -> list[np.ndarray]:
    with epoch_images(images, warp, rows=8, cols=8, seed=3, epochs=epochs) as made:
        return [np.array(one) for one in made]


def expected(warp: Warp | Distortion, epoch: int) -> np.ndarray:
    return warped(IMAGES, warp, rows=8, cols=8, random=np.random.default_rng([3, epoch, 1]))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> bytes:
    """What `TINY` gives when nothing happens."""
    checkpoint = tmp_path_factory.mktemp("undisturbed") / "a.checkpoint"
    return skops_bytes(fit(TINY, digits(), digits().train, seed=1, checkpoint=checkpoint).classifier)


@pytest.mark.parametrize("first", [0, 2])
def test_epochs_are_distorted_by_seed_and_number_alone(first):
    """The second process gives, from whichever epoch on, what the first would have made."""
    made = epochs_of(DISTORTION, range(first, 4))
    assert len(made) == 4 - first
    for epoch, images in enumerate(made, first):
        np.testing.assert_array_equal(images, expected(DISTORTION, epoch))
    assert np.abs(made[0] - made[1]).max() > 1


def test_what_is_quickly_warped_needs_no_second_process():
    """Groups that share a warp, and images that stay as they are, are made in this process."""
    warp = Warp(rotation=5, scale=0, shear=0, shift=1, elastic=0, group=10)
    with epoch_images(IMAGES, warp, rows=8, cols=8, seed=3, epochs=range(2)) as made:
        assert multiprocessing.active_children() == []
        for epoch in range(2):
            np.testing.assert_array_equal(next(made), expected(warp, epoch))
    for images in epochs_of(None, range(2)):
        np.testing.assert_array_equal(images, IMAGES)


def test_the_second_process_ends_with_the_fit():
    """Leaving the context ends it, although epochs are left that nobody took."""
    with epoch_images(IMAGES, DISTORTION, rows=8, cols=8, seed=3, epochs=range(1000)) as made:
        next(made)
        [second] = multiprocessing.active_children()
    assert not second.is_alive()


def test_ctrl_c_leaves_the_second_process_at_work():
    """A terminal sends Ctrl-C to both; the epoch under way still gets its images."""
    images = np.tile(IMAGES, (200, 1))  # larger than what a pipe holds
    with epoch_images(images, DISTORTION, rows=8, cols=8, seed=3, epochs=range(3)) as made:
        next(made)
        [second] = multiprocessing.active_children()
        os.kill(second.pid, signal.SIGINT)
        assert [one.shape for one in made] == [images.shape] * 2


def test_a_second_process_that_dies_is_an_error_and_the_fit_goes_on_later(tmp_path, undisturbed):
    """The fit says so instead of waiting forever; the next one goes on and ends with the same bits."""
    file, dataset = tmp_path / "a.checkpoint", digits()

    def kill(epoch: int, loss: float) -> None:
        if epoch == 2:
            [second] = multiprocessing.active_children()
            second.kill()
            second.join()

    # Small epochs may have been in the pipe already, so which one is missing is not certain.
    with pytest.raises(EpochError, match=r"distorts the images ended in epoch \d, exit code -9"):
        fit(TINY, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=kill)
    epochs: list[int] = []
    again = fit(
        TINY, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=lambda epoch, loss: epochs.append(epoch)
    )
    assert epochs[0] >= 3
    assert epochs[-1] == TINY.epochs
    assert skops_bytes(again.classifier) == undisturbed


def test_digits_train_says_that_the_second_process_died(tmp_path, monkeypatch):
    """One sentence with what to do, exit code 1, no traceback."""

    def died(*_: object, **__: object) -> None:
        raise EpochError("the process that distorts the images ended in epoch 3, exit code -9")

    monkeypatch.setattr("training.train.fit", died)
    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(app, ["digits-8x8", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.endswith("ended in epoch 3, exit code -9; the same command goes on where it was\n")


def test_every_epoch_has_its_checkpoint(tmp_path):
    """When an epoch is over, the one before can be gone on from."""
    file, dataset = tmp_path / "a.checkpoint", digits()
    before: list[int] = []

    def look(epoch: int, loss: float) -> None:
        if file.exists():
            with np.load(file) as arrays:
                before.append(json.loads(str(arrays["meta"]))["epoch"])

    fit(TINY, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=look)
    assert before == [1, 2, 3, 4, 5]


def test_killed_and_resumed(tmp_path, undisturbed):
    """After kill -9 the second process ends by itself, and the next fit goes on and ends with the same bits."""
    file = tmp_path / "a.checkpoint"
    first = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(file)], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    first.stdout.readline()
    first.stdout.readline()  # the second epoch is over, so the first has its checkpoint
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=WAIT_SECONDS)  # to the end of what they write to, which both have open
    epochs: list[int] = []
    dataset = digits()
    again = fit(
        TINY, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=lambda epoch, loss: epochs.append(epoch)
    )
    assert epochs[0] in (2, 3)
    assert skops_bytes(again.classifier) == undisturbed
