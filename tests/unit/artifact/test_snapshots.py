"""Snapshots of a training come back as they were written, and a malformed file is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artifact.snapshots import Snapshots, SnapshotsError, read_snapshots, snapshot_epochs, write_snapshots


@pytest.fixture
def snapshots() -> Snapshots:
    random = np.random.default_rng(1)
    return Snapshots(
        np.array([0, 1, 4], np.int32),
        np.array([np.nan, 0.5, 0.2], np.float32),
        np.array([2.3, 0.4, 0.3], np.float32),
        np.array([0.1, 0.8, 0.9], np.float32),
        (random.random((3, 6, 4)).astype(np.float16), random.random((3, 4, 2)).astype(np.float16)),
        (random.random((3, 4)).astype(np.float16), random.random((3, 2)).astype(np.float16)),
    )


def test_a_round_trip(tmp_path: Path, snapshots):
    """Every array has the same bits, and the same snapshots give the same bytes."""
    for name in ("a.npz", "b.npz"):
        write_snapshots(tmp_path / name, snapshots)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    back = read_snapshots(tmp_path / "a.npz")
    for name in ("epochs", "losses", "validation_losses", "validation_accuracies"):
        np.testing.assert_array_equal(getattr(back, name), getattr(snapshots, name))
    assert (len(back.weights), len(back.biases)) == (2, 2)
    for got, given in zip(back.weights + back.biases, snapshots.weights + snapshots.biases, strict=True):
        assert got.dtype == np.float16
        np.testing.assert_array_equal(got, given)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_one_layer_is_read_alone(tmp_path: Path, snapshots, layer):
    """The curves with it; what is wrong with another layer is not found then."""
    file = tmp_path / "snapshots.npz"
    broken = snapshots.weights[0].astype(np.float32), snapshots.weights[1]
    write_snapshots(file, replace(snapshots, weights=broken if layer != 1 else snapshots.weights))
    back = read_snapshots(file, layer)
    np.testing.assert_array_equal(back.epochs, snapshots.epochs)
    assert len(back.weights) == len(back.biases) == min(layer, 1)
    if layer:
        np.testing.assert_array_equal(back.weights[0], snapshots.weights[layer - 1])
        np.testing.assert_array_equal(back.biases[0], snapshots.biases[layer - 1])
    with pytest.raises(SnapshotsError, match=r"cannot be read: .*weights_3"):
        read_snapshots(file, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"losses": s.losses[:2]}, r"losses is float32\[2\], expected float32\[3\]"),
        (lambda s: {"epochs": s.epochs.astype(np.int64)}, r"epochs is int64\[3\], expected int32\[3\]"),
        (lambda s: {"epochs": np.int32(3)}, r"epochs is int32\[\], expected int32\[1\]"),
        (lambda s: {"epochs": s.epochs[::-1]}, "its epochs do not ascend"),
        (lambda s: {"epochs": s.epochs - 1}, "its epochs do not ascend from 0 or more"),
        (lambda s: {"weights": (), "biases": ()}, "has no layers"),
        (
            lambda s: {"weights": s.weights[::-1], "biases": s.biases[::-1]},
            r"weights_1 is float16\[3, 4, 2\]|weights_2",
        ),
        (lambda s: {"biases": (s.biases[0], s.biases[0])}, r"weights_2 is float16\[3, 4, 2\], expected .*\[3, 4, 4\]"),
    ],
)
def test_arrays_of_other_forms_are_refused(tmp_path: Path, snapshots, change, message):
    file = tmp_path / "snapshots.npz"
    write_snapshots(file, replace(snapshots, **change(snapshots)))
    with pytest.raises(SnapshotsError, match=message):
        read_snapshots(file)


def test_a_missing_and_a_damaged_file_are_named(tmp_path: Path, snapshots):
    file = tmp_path / "snapshots.npz"
    with pytest.raises(SnapshotsError, match=r"snapshots\.npz is missing"):
        read_snapshots(file)
    write_snapshots(file, snapshots)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(SnapshotsError, match=r"snapshots\.npz cannot be read"):
        read_snapshots(file)


def test_arrays_far_too_large_are_refused_unread(tmp_path: Path, snapshots):
    """By the sizes that the archive states: some megabytes of zeros may unpack to more than there is memory."""
    file = tmp_path / "snapshots.npz"
    write_snapshots(file, snapshots)
    data = bytearray(file.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # the last one of the directory
    data[entry + 24 : entry + 28] = (2**30).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(SnapshotsError, match=r"its arrays have \d{10} bytes, expected at most 1073741824"):
        read_snapshots(file)


@pytest.mark.parametrize(("epochs", "count"), [(400, 40), (60, 40), (20, 40), (7, 3), (1, 40)])
def test_snapshots_become_sparser(epochs: int, count: int):
    """They begin before the first epoch, end with the last, and gaps only grow, but for rounding."""
    found = snapshot_epochs(epochs, count)
    assert (found[0], found[-1]) == (0, epochs)
    assert len(found) <= count
    assert len(found) >= min(count, epochs + 1)
    gaps = np.diff(found)
    assert (gaps >= 1).all()
    assert (gaps[1:] >= gaps[:-1] - 1).all()
