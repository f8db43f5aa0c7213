"""Snapshots that are no longer what they were when the model was loaded."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb

from engine.errors import NotReady
from service.api.digits.learning import LEARNING
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.server import MODELS


@pytest.mark.parametrize("become", [os.mkfifo, os.mkdir, None], ids=["a pipe", "a folder", "nothing"])
async def test_a_file_that_was_replaced_is_not_ready(become: Callable[[Path], None] | None, tmp_path: Path):
    """A sentence, and nothing waits for a pipe."""
    folder = shutil.copytree(MODELS / "mnist-16x16" / "4", tmp_path / "mnist-16x16" / "4")
    async with App.open(Settings(models=tmp_path, log_level="error")) as app:
        learning = app.methods[LEARNING].handler
        assert len((await learning(pb.GetLearningRequest(), LocalContext())).epochs) == 40
        (folder / "snapshots.npz").unlink()
        if become is not None:
            become(folder / "snapshots.npz")
        with pytest.raises(NotReady, match=r"snapshots\.npz of mnist-16x16 version 4 cannot be read"):
            await learning(pb.GetLearningRequest(), LocalContext())


async def test_snapshots_of_another_network_are_not_ready(tmp_path: Path):
    """One layer has another shape than the model's; those that agree are given."""
    folder = shutil.copytree(MODELS / "mnist-16x16" / "4", tmp_path / "mnist-16x16" / "4")
    with np.load(folder / "snapshots.npz") as arrays:
        found = dict(arrays)
    found["weights_2"] = found["weights_2"][:, :15]
    np.savez_compressed(folder / "snapshots.npz", allow_pickle=False, **found)
    async with App.open(Settings(models=tmp_path, log_level="error")) as app:
        learning = app.methods[LEARNING].handler
        assert (await learning(pb.GetLearningRequest(layer=1), LocalContext())).weights
        with pytest.raises(NotReady, match=r"snapshots\.npz .* is of another network than the one that serves"):
            await learning(pb.GetLearningRequest(layer=2), LocalContext())
