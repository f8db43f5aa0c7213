"""The state of an interrupted fit in one file, which is replaced atomically, and the folder of such files."""

import fcntl
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

Arrays = list[NDArray[np.float32]]

_LISTS = ("parameters", "first_moments", "second_moments", "snapshots", "averages")


class CheckpointError(RuntimeError):
    """A checkpoint cannot be used, or another training uses its folder. The message says what to do."""


@contextmanager
def checkpoint_folder(folder: Path) -> Iterator[Path]:
    """Make the folder of one training's checkpoints, and lock it against a second training.

    After a training without an error its checkpoints are deleted. The folder is deleted as well if it is empty then.
    Raises `CheckpointError`.
    """
    lock = folder / ".lock"
    with _locked(lock):
        try:
            yield folder
            for file in folder.glob("*.checkpoint"):
                file.unlink()
        finally:
            lock.unlink(missing_ok=True)
            with suppress(OSError):  # it has checkpoints, or files of others
                folder.rmdir()


def _locked(lock: Path) -> TextIO:
    """Open and lock the file; its folder is made. A training that ends may remove both in between: then again."""
    while True:
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held = lock.open("w")
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            raise CheckpointError(
                f"another training has its checkpoints in {lock.parent}; name another by --checkpoints"
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(lock.stat(), os.fstat(held.fileno())):
                return held
        held.close()


@dataclass(slots=True)
class Checkpoint:
    """The state after `epoch` epochs."""

    epoch: int
    parameters: Arrays
    """Weights of all layers, then biases of all layers."""
    first_moments: Arrays
    """Adam's, one for each parameter."""
    second_moments: Arrays
    """Adam's, one for each parameter."""
    steps: int
    """Adam's step counter."""
    losses: list[float] = field(default_factory=list)
    """Training loss of each epoch."""
    validation_losses: list[float] = field(default_factory=list)
    """Loss on the validation rows after each epoch; empty without validation rows."""
    validation_accuracies: list[float] = field(default_factory=list)
    """Accuracy, 0..1, on them after each epoch."""
    snapshots: list[NDArray[np.float16]] = field(default_factory=list)
    """For each of `parameters` its values after some of the epochs, [snapshots, …]; empty without snapshots."""
    averages: list[NDArray[np.float32]] = field(default_factory=list)
    """For each of `parameters` the mean after the last epochs so far; empty before them and without averaging."""

    def write(self, file: Path, fingerprint: dict[str, Any]) -> None:
        """Replace `file` atomically; `fingerprint` identifies the recipe, the seed and the data."""
        file.parent.mkdir(parents=True, exist_ok=True)
        meta = {
            "fingerprint": fingerprint,
            "epoch": self.epoch,
            "steps": self.steps,
            "losses": self.losses,
            "validation_losses": self.validation_losses,
            "validation_accuracies": self.validation_accuracies,
        }
        arrays = {}
        for name in _LISTS:
            for position, array in enumerate(getattr(self, name)):
                arrays[f"{name}_{position}"] = array
        beside = file.with_suffix(".partial")
        try:
            with beside.open("wb") as stream:
                np.savez(stream, meta=np.array(json.dumps(meta)), **arrays)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(file)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(file)) from None
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def read(cls, file: Path, fingerprint: dict[str, Any]) -> "Checkpoint | None":
        """The checkpoint in `file`; None if there is none. Raises `CheckpointError` and `OSError`."""
        try:
            raw = io.BytesIO(file.read_bytes())
        except FileNotFoundError:
            return None
        try:
            with np.load(raw, allow_pickle=False) as arrays:
                meta = json.loads(str(arrays["meta"]))
                ours = meta.pop("fingerprint") == json.loads(json.dumps(fingerprint))
                lists: dict[str, Any] = {
                    name: [arrays[f"{name}_{i}"] for i in range(sum(key.startswith(f"{name}_") for key in arrays))]
                    for name in _LISTS
                }
                checkpoint = cls(**meta, **lists)
        except MemoryError:
            raise
        except Exception:  # a damaged zip raises many types
            raise CheckpointError(f"{file} is damaged; delete it, and the training begins anew") from None
        if not ours:
            raise CheckpointError(
                f"{file} is of another recipe, seed or data; delete it, or name another folder by --checkpoints, and "
                "the training begins anew"
            )
        return checkpoint
