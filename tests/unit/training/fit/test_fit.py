"""A fit ends with the same bits whether it was cut off or not."""

import dataclasses
import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.fit.cut_off import WAIT_SECONDS, contents, start_slow, wait_for
from training.data.datasets import digits
from training.data.inputs import scale_pixels
from training.export.skops_file import skops_bytes
from training.fit.fit import fit
from training.recipe import RecipeError
from training.recipes import RECIPES, find
from training.train import train_all

EPOCHS = 20
TINY = dataclasses.replace(
    find("digits-8x8")[0],
    name="tiny",
    hidden=(6, 5),
    epochs=EPOCHS,
    batch=128,
    augmentation=dataclasses.replace(find("digits-8x8")[0].augmentation, group=200),
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, bytes | dict]:
    """What `TINY` gives when nothing happens."""
    out = tmp_path_factory.mktemp("undisturbed")
    [folder] = train_all([TINY], out)
    assert [path.name for path in out.iterdir()] == ["tiny"]
    return contents(folder.path)


def test_cut_off_and_gone_on(tmp_path, undisturbed, capfd):
    """Killed in either fit, and ended by Ctrl-C: each time the next call goes on, and the bytes are the same."""
    rehearsal, final = (tmp_path / ".training" / "tiny-1" / f"{stage}.checkpoint" for stage in ("rehearsal", "final"))

    process = start_slow("tests.unit.training.fit.test_fit", tmp_path)
    wait_for(rehearsal, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = reached(rehearsal)

    process = start_slow("tests.unit.training.fit.test_fit", tmp_path)
    while reached(rehearsal) == killed:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    before = rehearsal.stat().st_mtime_ns
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_SECONDS) != 0
    told = process.stderr.read()
    assert f"tiny:1 validation run: epoch {killed + 1} of {EPOCHS}" in told
    assert "KeyboardInterrupt" in told
    assert rehearsal.stat().st_mtime_ns > before  # the epoch that was running is not lost
    interrupted = reached(rehearsal)

    process = start_slow("tests.unit.training.fit.test_fit", tmp_path)
    wait_for(final, process)
    process.send_signal(signal.SIGKILL)
    told = process.communicate()[1]
    assert f"tiny:1 validation run: epoch {interrupted + 1} of {EPOCHS}" in told
    killed = reached(final)
    assert not (tmp_path / "tiny").exists()

    [folder] = train_all([TINY], tmp_path)
    assert f"tiny:1 final fit: epoch {killed + 1} of {EPOCHS}" in capfd.readouterr().err
    assert contents(folder.path) == undisturbed


def reached(checkpoint: Path) -> int:
    """The last epoch that a fit in the middle has behind it."""
    with np.load(checkpoint) as arrays:
        epoch = json.loads(str(arrays["meta"]))["epoch"]
    assert 0 < epoch < EPOCHS
    return epoch


def test_seed_decides(tmp_path):
    """The same seed gives the same bits, another seed others."""
    dataset, recipe = digits(), dataclasses.replace(TINY, epochs=3)

    def fitted(seed: int, number: int) -> bytes:
        result = fit(recipe, dataset, dataset.train, seed=seed, checkpoint=tmp_path / f"{number}.checkpoint")
        return skops_bytes(result.classifier)

    assert fitted(1, 1) == fitted(1, 2) != fitted(2, 3)


def test_validation_rows_teach_nothing(tmp_path):
    """Judging the validation rows after each epoch leaves the fit as it is without them."""
    dataset, recipe = digits(), dataclasses.replace(TINY, epochs=3)
    given = (recipe, dataset, dataset.learning)
    judged = fit(*given, seed=1, checkpoint=tmp_path / "a", validation=dataset.validation)
    alone = fit(*given, seed=1, checkpoint=tmp_path / "b")
    assert len(judged.validation_losses) == 3
    assert alone.validation_losses == []
    assert skops_bytes(judged.classifier) == skops_bytes(alone.classifier)


def test_the_last_epochs_are_averaged(tmp_path):
    """The weights are the mean of those after each of the last epochs, cut off among them or not."""
    dataset, recipe = digits(), dataclasses.replace(TINY, epochs=6, averaged=0.5)
    file, after = tmp_path / "a.checkpoint", []

    def note(epoch: int, loss: float) -> None:
        if epoch == 6 and len(after) < 5:
            raise EOFError
        if epoch > 1:
            with np.load(file) as arrays:
                after.append(arrays["parameters_0"])

    with pytest.raises(EOFError):
        fit(recipe, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=note)
    after.append(np.load(file)["parameters_0"])
    cut_off = fit(recipe, dataset, dataset.train, seed=1, checkpoint=file, on_epoch=note).classifier.coefs_[0]
    after[-1] = np.load(file)["parameters_0"]
    whole = fit(recipe, dataset, dataset.train, seed=1, checkpoint=tmp_path / "b.checkpoint").classifier.coefs_[0]
    assert np.array_equal(cut_off, whole)
    np.testing.assert_allclose(whole, np.mean(after[-3:], axis=0), rtol=1e-5, atol=1e-7)


def test_a_validation_run_may_be_shorter(tmp_path):
    """A recipe may give its validation run another number of epochs; card and report have both numbers.

    The checkpoints are kept in the folder that was named, which is empty at the end.
    """
    kept, seen = tmp_path / "kept", []
    recipe = dataclasses.replace(TINY, epochs=5, validation_epochs=3)

    def note(_: str) -> None:
        seen.extend(path.name for path in kept.rglob("*.checkpoint"))

    [folder] = train_all([recipe], tmp_path / "models", checkpoints=kept, say=note)
    assert seen == ["rehearsal.checkpoint"]
    assert [path.name for path in tmp_path.rglob("*.checkpoint")] == []
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tiny"]
    assert list(kept.iterdir()) == []
    recipe = json.loads(folder.card.read_text())["recipe"]
    assert (recipe["rehearsal_epochs"], recipe["epochs"]) == (3, 5)
    page = (folder.report / "report.md").read_text()
    assert "Validation run of the recipe: 3 epochs without the validation images" in page
    assert "The final fit took 5 epochs." in page
    dataset = digits()
    alone = fit(
        dataclasses.replace(TINY, epochs=3), dataset, dataset.learning, seed=1, checkpoint=tmp_path / "a.checkpoint"
    )
    predicted = alone.classifier.predict(scale_pixels(dataset.validation.pixels, pixel_scale=1 / 16, pixel_offset=5.0))
    assert recipe["validation_accuracy"] == pytest.approx(np.mean(predicted == dataset.validation.labels), abs=1e-6)


def test_recipes_have_the_lesson_s_shape():
    """All four small MNIST recipes are 784-16-16-10, and a name means all versions, name:version one."""
    assert [(recipe.hidden, recipe.activation, recipe.version) for recipe in find("mnist-16x16")] == [
        ((16, 16), "logistic", 1),
        ((16, 16), "relu", 2),
        ((16, 16), "logistic", 3),
        ((16, 16), "relu", 4),
    ]
    assert [recipe.key for recipe in find("mnist-16x16:2")] == ["mnist-16x16:2"]
    assert len({recipe.key for recipe in RECIPES}) == len(RECIPES)
    with pytest.raises(RecipeError, match="no recipe 'mnist'; there are: digits-8x8, digits-8x8:1, mnist-16x16"):
        find("mnist")
