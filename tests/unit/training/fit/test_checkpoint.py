"""Checkpoints that cannot be gone on from, and the folder that they are in."""

import dataclasses
import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.fit.cut_off import contents
from tests.unit.training.fit.test_fit import TINY
from training.data.datasets import digits
from training.fit.checkpoint import Checkpoint, CheckpointError, checkpoint_folder
from training.fit.fit import fit
from training.fit.progress import log
from training.train import train_all

SHORT = dataclasses.replace(TINY, epochs=2)
FINGERPRINT = {"seed": 1, "hidden": (6, 5)}


def write(file: Path) -> None:
    """A small checkpoint."""
    ones = [np.ones(3, np.float32)]
    Checkpoint(2, ones, ones, ones, 9).write(file, FINGERPRINT)


def test_what_was_written_is_read(tmp_path):
    """A missing one is none."""
    file = tmp_path / "a.checkpoint"
    assert Checkpoint.read(file, FINGERPRINT) is None
    write(file)
    found = Checkpoint.read(file, FINGERPRINT)
    assert found is not None
    assert (found.epoch, found.steps, found.parameters[0].tolist()) == (2, 9, [1, 1, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["a.checkpoint"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"",
        lambda raw: raw.replace(np.float32(1).tobytes(), np.float32(2).tobytes()),
    ],
    ids=["half", "empty", "changed"],
)
def test_a_damaged_one_is_said_and_stays(tmp_path, damage):
    """Epochs are not lost without a word: the fit does not begin anew by itself."""
    file = tmp_path / "a.checkpoint"
    write(file)
    raw = damage(file.read_bytes())
    file.write_bytes(raw)
    dataset = digits()
    with pytest.raises(CheckpointError, match=r"a\.checkpoint is damaged; delete it, and the training begins anew$"):
        fit(SHORT, dataset, dataset.train, seed=1, checkpoint=file)
    assert file.read_bytes() == raw


def test_one_of_another_seed_is_said_and_stays(tmp_path):
    """Also one of another recipe, or of other data; the training that it is of goes on."""

    def stop(line: str) -> None:
        if "of the validation images right" in line:
            raise KeyboardInterrupt

    kept = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        train_all([SHORT], tmp_path, checkpoints=kept, say=stop)
    with pytest.raises(CheckpointError, match=r"rehearsal\.checkpoint is of another recipe, seed or data"):
        train_all([SHORT], tmp_path, checkpoints=kept, seed=7)
    [file] = kept.rglob("*.checkpoint")
    before = file.stat().st_mtime_ns
    said: list[str] = []
    [folder] = train_all(
        [SHORT], tmp_path, checkpoints=kept, say=lambda line: said.append(f"{file.stat().st_mtime_ns} {line}")
    )
    assert said[-1].startswith(f"{before} ")
    [alone] = train_all([SHORT], tmp_path / "alone")
    assert contents(folder.path) == contents(alone.path)


def test_one_that_cannot_be_read_is_no_damaged_one(tmp_path):
    """A passing error of the disk ends the training with its name; here a folder in the place of the file."""
    (tmp_path / "a.checkpoint").mkdir()
    with pytest.raises(IsADirectoryError):
        Checkpoint.read(tmp_path / "a.checkpoint", FINGERPRINT)


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    """The error has the checkpoint's name; the one before stays, and nothing else."""
    file = tmp_path / "a.checkpoint"
    write(file)
    before = file.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write(file)
    assert caught.value.filename == str(file)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_second_training_in_the_folder_is_refused(tmp_path):
    """While the first one lasts; both would write the same files."""
    folder = tmp_path / "kept" / "tiny-1"
    with checkpoint_folder(folder):
        write(folder / "a.checkpoint")
        with pytest.raises(CheckpointError, match=rf"^another training has its checkpoints in {folder}"):
            train_all([SHORT], tmp_path, checkpoints=tmp_path / "kept")
        assert (folder / "a.checkpoint").exists()
    assert not folder.exists()


@pytest.mark.parametrize("gone", ["lock", "folder"])
def test_a_training_that_ends_meanwhile_takes_no_lock_away(tmp_path, monkeypatch, gone):
    """It removes the file, or the folder, between two steps of the next one, which then begins again."""
    folder, lock = tmp_path / "kept" / "tiny-1", fcntl.flock
    calls = []

    def removed_first(held, how) -> None:
        calls.append(held)
        if len(calls) == 1:
            (folder / ".lock").unlink()
            if gone == "folder":
                folder.rmdir()
        lock(held, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with checkpoint_folder(folder):
        assert len(calls) == 2
        monkeypatch.undo()
        with pytest.raises(CheckpointError), checkpoint_folder(folder):
            pass


def test_files_of_others_in_the_folder_stay(tmp_path):
    """Even where a model has the folder's name."""
    (tmp_path / "tiny-1" / "1").mkdir(parents=True)
    (tmp_path / "tiny-1" / "1" / "model.onnx").touch()
    train_all([SHORT], tmp_path, checkpoints=tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in (tmp_path / "tiny-1").rglob("*")} == {
        "tiny-1/1",
        "tiny-1/1/model.onnx",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"tiny-1", "tiny"}


def test_models_that_cannot_be_written_are_named_before_the_first_epoch(tmp_path):
    """And not when hours are over."""
    (tmp_path / "models").touch()
    with pytest.raises(FileExistsError):
        train_all([SHORT], tmp_path / "models", checkpoints=tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_log_that_cannot_be_written_ends_nothing(capfd, monkeypatch):
    """Neither on a full disk nor where stderr is closed."""
    log("first")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stderr", full)
        log("lost")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that it can be closed
    monkeypatch.setattr("sys.stderr", None)
    log("lost")
    monkeypatch.undo()
    log("last")
    assert capfd.readouterr().err == "first\nlast\n"
