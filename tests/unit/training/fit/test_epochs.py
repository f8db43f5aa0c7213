"""The second process, which distorts while the first learns: the same images, and an end in every case."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cli.commands.train import train
from tests.support.processes import ROOT
from training.child import ChildError
from training.data.augment import Distortion, SharedDistortion, augment
from training.data.datasets import digits
from training.data.strokes import StrokeChanges, change_strokes
from training.export.skops_file import skops_bytes
from training.fit.epochs import epoch_images
from training.fit.fit import fit
from training.recipes import find

WAIT_SECONDS = 60
DISTORTION = Distortion(rotation=7, scale=0.07, shear=0.07, shift=0.4, alpha=4, sigma=3)
SHARED = SharedDistortion(rotation=5, scale=0, shear=0, shift=1, elastic=0, group=10)
STROKES = StrokeChanges(share=0.7, thinner=0.5, thicker=0.5, blur=0.5, noise=0.1, gap=1)
IMAGES = np.random.default_rng(5).uniform(0, 16, (50, 64)).astype(np.float32)
TINY = dataclasses.replace(find("digits-8x8")[0], hidden=(6, 5), epochs=6, batch=128, augmentation=DISTORTION)

# A fit that can be killed in the middle of its third epoch.
SLOW = """
import sys, time
from pathlib import Path
from tests.support.processes import ROOT
from tests.unit.training.fit.test_epochs import TINY
from training.data.datasets import digits
from training.fit.fit import fit
def wait(epoch, loss):
    print(epoch, flush=True)
    if epoch == 3:
        time.sleep(600)
fit(TINY, digits(), digits().train, seed=1, checkpoint=Path(sys.argv[1]), on_epoch=wait)
"""


def epochs_of(
    distortion: SharedDistortion | Distortion | None, epochs: range, images: np.ndarray = IMAGES
) -> list[np.ndarray]:
    with epoch_images(images, distortion, rows=8, cols=8, seed=3, epochs=epochs) as made:
        return [np.array(one) for one in made]


def expected(distortion: SharedDistortion | Distortion, epoch: int) -> np.ndarray:
    return augment(IMAGES, distortion, rows=8, cols=8, random=np.random.default_rng([3, epoch, 1]))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> bytes:
    """What `TINY` gives when nothing happens."""
    checkpoint = tmp_path_factory.mktemp("undisturbed") / "a.checkpoint"
    return skops_bytes(fit(TINY, digits(), digits().train, seed=1, checkpoint=checkpoint).classifier)


@pytest.fixture
def started(monkeypatch) -> list[subprocess.Popen]:
    """The second processes, as they are started."""
    processes = []

    class Noted(subprocess.Popen):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return processes


@pytest.mark.parametrize("first", [0, 2])
def test_epochs_are_distorted_by_seed_and_number_alone(first):
    """The second process gives, from whichever epoch on, what the first would have made."""
    made = epochs_of(DISTORTION, range(first, 4))
    assert len(made) == 4 - first
    for epoch, images in enumerate(made, first):
        np.testing.assert_array_equal(images, expected(DISTORTION, epoch))
    assert np.abs(made[0] - made[1]).max() > 1


@pytest.mark.parametrize("distortion", [None, DISTORTION, SHARED], ids=["none", "own", "shared"])
def test_strokes_are_changed_after_the_distortion_in_the_second_process(started, distortion):
    """Their random numbers depend on the seed and the epoch too, and are others than the distortion's."""
    given = {"rows": 8, "cols": 8, "seed": 3, "epochs": range(1, 3), "strokes": STROKES, "pixel_max": 16}
    with epoch_images(IMAGES, distortion, **given) as made:
        for epoch, images in enumerate(made, 1):
            before = IMAGES if distortion is None else expected(distortion, epoch)
            random = np.random.default_rng([3, epoch, 2])
            wanted = change_strokes(before, STROKES, rows=8, cols=8, pixel_max=16, random=random)
            np.testing.assert_array_equal(images, wanted)
            assert np.abs(images - before).max() > 1
    assert len(started) == 1


def test_what_is_quickly_warped_needs_no_second_process(started):
    """Groups that share a distortion, and images that stay as they are, are made in this process."""
    for epoch, images in enumerate(epochs_of(SHARED, range(2))):
        np.testing.assert_array_equal(images, expected(SHARED, epoch))
    for images in epochs_of(None, range(2)):
        np.testing.assert_array_equal(images, IMAGES)
    assert started == []


def test_the_second_process_ends_with_the_fit(started):
    """Leaving the context ends it, although epochs are left that nobody took."""
    with epoch_images(IMAGES, DISTORTION, rows=8, cols=8, seed=3, epochs=range(1000)) as made:
        next(made)
        [second] = started
        assert second.poll() is None
    assert second.poll() is not None


def test_ctrl_c_in_a_terminal_passes_the_second_process_over(started):
    """A terminal sends Ctrl-C to its group of processes; the epoch under way still gets its images."""
    with epoch_images(IMAGES, DISTORTION, rows=8, cols=8, seed=3, epochs=range(3)) as made:
        next(made)
        [second] = started
        assert os.getpgid(second.pid) != os.getpgid(0)


@pytest.mark.parametrize("moment", ["at once", "in the second epoch"])
def test_a_second_process_that_dies_is_an_error_and_the_fit_goes_on_later(tmp_path, started, undisturbed, moment):
    """The fit says so instead of waiting forever; the next one goes on and ends with the same bits."""
    file, dataset = tmp_path / "a.checkpoint", digits()

    def kill(epoch: int, loss: float) -> None:
        if epoch == 2:
            started[0].kill()

    with pytest.MonkeyPatch.context() as patch:
        if moment == "at once":
            patch.setattr(sys, "executable", shutil.which("false"))
        with pytest.raises(ChildError, match=r"distorts the images ended, exit code (-9|1)$"):
            fit(TINY, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=kill)
    epochs: list[int] = []
    again = fit(
        TINY, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=lambda epoch, loss: epochs.append(epoch)
    )
    assert epochs[-1] == TINY.epochs
    assert epochs[0] == 1 if moment == "at once" else epochs[0] >= 3
    assert skops_bytes(again.classifier) == undisturbed


def test_digits_train_says_that_the_second_process_died(tmp_path, monkeypatch):
    """One sentence with what to do, exit code 1, no traceback."""

    def died(*_: object, **__: object) -> None:
        raise ChildError("the process that distorts the images ended, exit code -9")

    monkeypatch.setattr("training.train.fit", died)
    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(app, ["digits-8x8", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stderr.endswith("ended, exit code -9; the same command continues\n")


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
    for _ in range(3):
        first.stdout.readline()  # the third epoch is over, and has no checkpoint yet
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=WAIT_SECONDS)  # to the end of what they write to, which both have open
    epochs: list[int] = []
    dataset = digits()
    again = fit(
        TINY, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=lambda epoch, loss: epochs.append(epoch)
    )
    assert epochs[0] == 3
    assert skops_bytes(again.classifier) == undisturbed
