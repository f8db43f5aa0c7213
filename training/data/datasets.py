"""What the recipes learn from: pixels and labels, split once and for all, known by their SHA-256."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class DatasetError(ValueError):
    """A data set is missing, damaged or another than it should be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """Images with what they show."""

    pixels: NDArray[np.uint8]
    """uint8 [N, rows*cols], ink bright."""
    labels: NDArray[np.int64]
    """int64 [N]: position of the class, 0..classes-1."""

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> "Part":
        return Part(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Images to learn from, and images to be judged by."""

    name: str
    rows: int
    cols: int
    pixel_max: int
    classes: tuple[str, ...]
    train: Part
    validation_rows: int
    """The last so many rows of `train` are what choices are made on; the final fit learns from them too."""
    test: Part
    """Looked at once, by the exported model."""

    @property
    def sha256(self) -> str:
        """SHA-256, in hexadecimal, over train pixels, train labels, test pixels, test labels, all as uint8."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            digest.update(np.ascontiguousarray(part.pixels).data)
            digest.update(part.labels.astype(np.uint8).data)
        return digest.hexdigest()

    @property
    def learning(self) -> Part:
        """The training rows without those for validation."""
        return self.train[: len(self.train) - self.validation_rows]

    @property
    def validation(self) -> Part:
        """The rows that choices are made on."""
        return self.train[len(self.train) - self.validation_rows :]


# The split of the 8×8 digits: a quarter is held out, each digit with its share, drawn with this seed.
_DIGITS_SPLIT_SEED = 0
_DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
_TEN = tuple("0123456789")


SHAPES = {"digits": (8, 8, 16), "mnist": (28, 28, 255)}
"""Rows, columns and greatest pixel of the data sets that `load` knows."""


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """The data set `digits` or `mnist`; `data_dir` is where MNIST's files lie.

    Raises `DatasetError`.
    """
    if name == "digits":
        return digits()
    if name == "mnist":
        from training.data.mnist import mnist

        return mnist(data_dir)
    raise DatasetError(f"no data set {name!r}; there are: digits, mnist")


def digits() -> Dataset:
    """scikit-learn's 1,797 digits of 8×8 pixels 0..16; 1,347 to learn from, 450 held out.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test part).
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    pixels, labels = bunch.data.astype(np.uint8), bunch.target.astype(np.int64)
    check_sha256("scikit-learn's load_digits()", pixels, labels, _DIGITS_SHA256)
    rows = train_test_split(np.arange(len(labels)), test_size=0.25, stratify=labels, random_state=_DIGITS_SPLIT_SEED)
    train, test = (Part(pixels[part], labels[part]) for part in rows)
    return Dataset(
        name="digits",
        rows=8,
        cols=8,
        pixel_max=16,
        classes=_TEN,
        train=train,
        validation_rows=len(train) // 4,
        test=test,
    )


def held_out_digits() -> Part:
    """The 450 8×8 digits that `digits-8x8` never learned from: pixels uint8 [450, 64], labels int64 [450]."""
    return digits().test


def check_sha256(where: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64], expected: str) -> None:
    """Raise `DatasetError` naming `where` unless pixels, then labels as uint8, hash to `expected`."""
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data)
    digest.update(labels.astype(np.uint8).data)
    if digest.hexdigest() != expected:
        raise DatasetError(
            f"{where} is not the data set that the recipes were made for: "
            f"SHA-256 of its pixels and labels is {digest.hexdigest()}, expected {expected}"
        )
