"""A data set in memory: images and their classes, split into a training and a test part."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    more: Mapping[str, Part] = field(default_factory=dict)
    """Digits of other sources by name, to learn from beside `train`. They are not part of `sha256`, because their
    pixels depend on how pictures are prepared."""
    left_out: Mapping[str, Part] = field(default_factory=dict)
    """Digits of sources that are not learned from, by name, to evaluate the model on."""

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

    def split(self, held_out: int) -> tuple[Part, dict[str, Part]]:
        """The rows to learn from, and those held out by source, of which the first is this data set itself.

        Of `train` the last `held_out` rows are held out, and the same share of the last rows of each other source.
        """
        share = held_out / len(self.train)
        kept = {name: len(part) - round(share * len(part)) for name, part in self.more.items()}
        learning = [part[: kept[name]] for name, part in self.more.items()]
        rest = {name: part[kept[name] :] for name, part in self.more.items()}
        rows = len(self.train) - held_out
        return concatenate([*learning, self.train[:rows]]), {self.name: self.train[rows:], **rest}


def concatenate(parts: Sequence[Part]) -> Part:
    """The images of all `parts`, of which there is at least one, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Part(np.concatenate([part.pixels for part in parts]), np.concatenate([part.labels for part in parts]))


def check_sha256(where: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64], expected: str) -> None:
    """Raise `DatasetError` naming `where` unless pixels, then labels as uint8, hash to `expected`."""
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data)
    digest.update(labels.astype(np.uint8).data)
    if digest.hexdigest() != expected:
        raise DatasetError(
            f"{where} is not the data set that the recipes were made for: "
            f"SHA-256 of its pixels and labels is {digest.hexdigest()}, expected {expected}"
        )
