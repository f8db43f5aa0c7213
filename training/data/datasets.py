"""The data sets of the recipes, by name."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from imaging.prepare import Form
from training.data.dataset import Dataset, DatasetError, Part, check_sha256
from training.data.mnist import mnist
from training.data.sources.more_digits import read_digits

# Seed of the stratified split of the 8×8 digits, a quarter of which is held out.
_DIGITS_SPLIT_SEED = 0
_DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
_TEN = tuple("0123456789")


SHAPES = {"digits": (8, 8, 16), "mnist": (28, 28, 255)}
"""Rows, columns and greatest pixel of the data sets that `load` knows."""


def load(name: str, data_dir: Path | None = None, say: Callable[[str], None] = lambda line: None) -> Dataset:
    """The data set `digits` or `mnist`; `data_dir` is the folder of the MNIST files.

    `say` is called with a line of text before a download. Raises `DatasetError`.
    """
    if name == "digits":
        return digits()
    if name == "mnist":
        return mnist(data_dir, say)
    raise DatasetError(f"no data set {name!r}; known are digits and mnist")


def with_sources(
    dataset: Dataset,
    sources: Collection[str],
    form: Form,
    *,
    without: Collection[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """`dataset` with the digits of `sources` (see `training.data.sources`) to learn from beside its own.

    The sources in `without` are not learned from, but evaluated. `form` is that of the images. Raises `DatasetError`,
    also if `without` names another source.
    """
    if unknown := sorted(set(without) - set(sources)):
        known = f"its sources are {', '.join(sources)}" if sources else "the recipe has no further sources"
        raise DatasetError(f"{unknown[0]} cannot be left out: {known}")
    parts = {}
    for source in sources:
        parts[source] = read_digits(source, form)
        say(f"{source}: {len(parts[source])} digits {'left out' if source in without else 'to learn from'}")
    return replace(
        dataset,
        more={name: part for name, part in parts.items() if name not in without},
        left_out={name: part for name, part in parts.items() if name in without},
    )


def digits() -> Dataset:
    """scikit-learn's 1,797 digits of 8×8 pixels 0..16; 1,347 for training, 450 held out.

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
