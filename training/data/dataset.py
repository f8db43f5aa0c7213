"""A data set in memory: images and their classes, split into a training and a test part."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class DatasetError(ValueError):
    """A data set is missing, damaged or not the expected one; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Part:
    """Labelled images."""

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
    """Training and test images."""

    name: str
    rows: int
    cols: int
    pixel_max: int
    classes: tuple[str, ...]
    train: Part
    validation_rows: int
    """Number of last rows of `train` for the selection of recipes; the final fit learns from them too."""
    test: Part
    """Evaluated once, on the exported model."""

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
        """The training rows for the selection of recipes."""
        return self.train[len(self.train) - self.validation_rows :]


def check_sha256(where: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64], expected: str) -> None:
    """Raise `DatasetError` naming `where` unless pixels, then labels as uint8, hash to `expected`."""
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data)
    digest.update(labels.astype(np.uint8).data)
    if digest.hexdigest() != expected:
        raise DatasetError(
            f"{where} is not the data set that the recipes were made for: "
            f"SHA-256 of its pixels and labels is {digest.hexdigest()}, expected {expected}"
        )
