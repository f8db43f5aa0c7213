"""The state of an interrupted fit in one file, which is replaced atomically."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = list[NDArray[np.float32]]

_LISTS = ("parameters", "first_moments", "second_moments", "snapshots", "averages")


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
        with beside.open("wb") as stream:
            np.savez(stream, meta=np.array(json.dumps(meta)), **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)

    @classmethod
    def read(cls, file: Path, fingerprint: dict[str, Any]) -> "Checkpoint | None":
        """The checkpoint in `file`; None if it is missing, damaged, or of another fit."""
        try:
            with np.load(file, allow_pickle=False) as arrays:
                meta = json.loads(str(arrays["meta"]))
                if meta.pop("fingerprint") != json.loads(json.dumps(fingerprint)):
                    return None
                lists: dict[str, Any] = {
                    name: [arrays[f"{name}_{i}"] for i in range(sum(key.startswith(f"{name}_") for key in arrays))]
                    for name in _LISTS
                }
            return cls(**meta, **lists)
        except Exception:  # a damaged zip raises many types; the fit then starts over
            return None
