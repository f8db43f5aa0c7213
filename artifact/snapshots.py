"""Snapshots: the network after some epochs of its training, in `snapshots.npz` beside the model.

The file is optional and nothing reads it to serve. Its arrays, for S snapshots and layers 1, 2, …:

| array | form | what |
|---|---|---|
| `epochs` | int32 [S] | finished epochs, 0 or more, ascending; 0 is the network before it learns |
| `losses` | float32 [S] | cross-entropy of that epoch on the images learned from; NaN at epoch 0 |
| `validation_losses` | float32 [S] | cross-entropy after that epoch on the validation images |
| `validation_accuracies` | float32 [S] | accuracy, 0..1, after that epoch on the validation images |
| `weights_<layer>` | float16 [S, inputs, neurons] | for inputs `(pixel - pixel_offset) * pixel_scale` |
| `biases_<layer>` | float16 [S, neurons] | |

Activations are those of the card. The weights are without the card's temperature.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class SnapshotsError(ValueError):
    """A file of snapshots is missing or malformed; the message names it."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Snapshots in memory; the fields are the arrays of the file."""

    epochs: NDArray[np.int32]
    """[S]"""
    losses: NDArray[np.float32]
    """[S]"""
    validation_losses: NDArray[np.float32]
    """[S]"""
    validation_accuracies: NDArray[np.float32]
    """[S]"""
    weights: tuple[NDArray[np.float16], ...]
    """[S, inputs, neurons] of each layer."""
    biases: tuple[NDArray[np.float16], ...]
    """[S, neurons] of each layer."""


_LARGEST = 2**30  # bytes of all arrays; far more than the networks here need
_CURVES = ("losses", "validation_losses", "validation_accuracies")


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """The epochs of at most `count` snapshots, at least 3, of a training of `epochs` epochs, at least 1.

    They begin with 0, continue with each epoch, become ever sparser, and end with the last.
    """
    for points in range(8 * count, 1, -1):
        found = np.unique(np.rint(np.geomspace(1, epochs, points)).astype(int)).tolist()
        if len(found) < count:
            break
    return [0, *found]


def write_snapshots(file: Path, snapshots: Snapshots) -> None:
    """Write `file` as .npz; the same snapshots give the same bytes. Raises `OSError`."""
    np.savez_compressed(file, allow_pickle=False, **_arrays(snapshots))


def read_snapshots(file: Path, layer: int | None = None) -> Snapshots:
    """Read `file`, of its layers `layer` alone where that is given, and none of them with 0: the rest stays unread.

    Raises `SnapshotsError` when the file is missing or an array that was read is not of the form stated above.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            size = sum(each.file_size for each in arrays.zip.infolist())
            if size > _LARGEST:
                raise ValueError(f"its arrays have {size} bytes, expected at most {_LARGEST}")
            layers = range(1, sum(name.startswith("weights_") for name in arrays.files) + 1)
            if layer is not None:
                layers = range(layer, layer + 1 if layer else 0)
            snapshots = Snapshots(
                **{name: arrays[name] for name in ("epochs", *_CURVES)},
                weights=tuple(arrays[f"weights_{layer}"] for layer in layers),
                biases=tuple(arrays[f"biases_{layer}"] for layer in layers),
            )
    except FileNotFoundError:
        raise SnapshotsError(f"{file} is missing") from None
    except Exception as error:  # a damaged zip raises errors of many types
        raise SnapshotsError(f"{file} cannot be read: {error}") from None
    _check(file, snapshots, layers)
    return snapshots


def _check(file: Path, snapshots: Snapshots, layers: range) -> None:
    """Raise `SnapshotsError` unless all arrays have the types and shapes stated above, with a snapshot at least."""
    count, neurons = snapshots.epochs.size, None
    wanted: list[tuple[str, Any, tuple[int, ...]]] = [("epochs", np.int32, (count,))]
    wanted += [(name, np.float32, (count,)) for name in _CURVES]
    for layer, weights, biases in zip(layers, snapshots.weights, snapshots.biases, strict=True):
        inputs = neurons if neurons is not None else weights.shape[1] if weights.ndim == 3 else 0
        neurons = biases.shape[-1] if biases.ndim else 0
        wanted += [
            (f"weights_{layer}", np.float16, (count, inputs, neurons)),
            (f"biases_{layer}", np.float16, (count, neurons)),
        ]
    arrays = _arrays(snapshots, layers.start)
    for name, dtype, shape in wanted:
        array = arrays[name]
        if array.dtype != dtype or array.shape != shape:
            raise SnapshotsError(
                f"{file}: {name} is {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}"
            )
    if (not layers and layers.start) or not count or (np.diff(snapshots.epochs, prepend=-1) <= 0).any():
        raise SnapshotsError(f"{file} has no layers, or its epochs do not ascend from 0 or more")


def _arrays(snapshots: Snapshots, first: int = 1) -> dict[str, NDArray[Any]]:
    """By their names in the file; its layers begin with the `first`."""
    arrays: dict[str, NDArray[Any]] = {"epochs": snapshots.epochs}
    arrays |= {name: getattr(snapshots, name) for name in _CURVES}
    for layer, (weights, biases) in enumerate(zip(snapshots.weights, snapshots.biases, strict=True), start=first):
        arrays |= {f"weights_{layer}": weights, f"biases_{layer}": biases}
    return arrays
