"""Digits of five sources beside MNIST, and real letters and operators; README.md beside this file has the licences."""

import hashlib
import io
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.prepare import Form, prepare
from training.data.dataset import DatasetError, Part
from training.data.sources.pen import draw_curve

FILE = Path(__file__).with_name("more-digits.npz")
SHA256 = "16100789d8b52bb79322181570a02f2e6b121c0a92f1626cfa2e2fb311bd70f8"

ATTRIBUTIONS = {
    "bhmsds": "bhmsds, Copyright (c) 2019 wblachowski, github.com/wblachowski/bhmsds, MIT",
    "hwd1000": "HwD-1000, Copyright (c) niklashenning, github.com/niklashenning/hwd-1000-dataset, MIT",
    "semeion": "Semeion Handwritten Digit, Semeion Research Center and Tattile, UCI, CC BY 4.0",
    "optdigits": "Optical Recognition of Handwritten Digits, E. Alpaydin, C. Kaynak, UCI, 1998, CC BY 4.0",
    "pendigits": "Pen-Based Recognition of Handwritten Digits, E. Alpaydin, F. Alimoglu, UCI, 1998, CC BY 4.0",
}
"""The sources of digits by name, with author, origin and licence."""

REAL_LETTERS, SLASHES_AND_DOTS = "real letters", "slashes and dots"
"""Kinds of images without a digit that people wrote."""

LETTERS = "bhmsds_not_digits"
"""Real letters and operators; the people and the licence are those of `bhmsds`."""

_SEEN = ("w", "x", "y", "z", "plus", "minus")
_UNSEEN = ("dot", "slash")  # no detector is fitted on them, so that they can be used to evaluate it
_FITTED = 3 / 4  # of the seen ones; the others are for the evaluation

_ORDER_SEED = 0
_PEN_SEED = 1
_PEN = (0.03, 0.12)  # width of the pens as a part of the digit's square
_MARGIN = 0.25  # of a picture, added on each side: some digits fill theirs


def attributions(sources: Collection[str], *, letters: bool) -> tuple[str, ...]:
    """The attributions of `sources`, with `letters` also of those who wrote the letters."""
    used = {*sources, "bhmsds"} if letters else set(sources)
    return tuple(text for source, text in ATTRIBUTIONS.items() if source in used)


def read_digits(source: str, form: Form, *, most: int | None = None) -> Part:
    """The digits of `source`, prepared for a model that takes images of `form`, in a fixed random order.

    Digits of `pendigits` are drawn as more or less round curves by pens of various widths. `most` limits their number.
    Raises `DatasetError` for an unknown source and a damaged file.
    """
    if source not in ATTRIBUTIONS:
        raise DatasetError(f"no source {source!r}; known are {', '.join(ATTRIBUTIONS)}")
    arrays = _read()
    labels = arrays[f"{source}_labels"].astype(np.int64)
    order = np.random.default_rng(_ORDER_SEED).permutation(len(labels))[:most]
    if source == "pendigits":
        random = np.random.default_rng(_PEN_SEED)
        widths, roundness = random.uniform(*_PEN, len(labels)), random.random(len(labels))
        points = arrays["pendigits_points"][order] / 100 * (1, -1) + (0, 1)
        pictures = [draw_curve(*each) for each in zip(points, widths[order], roundness[order], strict=True)]
    else:
        pictures = list(arrays[source][order])
    return Part(_prepare(pictures, form), labels[order])


def read_outliers(form: Form) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.uint8]]]:
    """Real images without a digit: those on which a detector is fitted, and others by kind to evaluate it.

    All are uint8 [N, rows*cols]. Raises `DatasetError` for a damaged file.
    """
    seen = read_letters(form, _SEEN)
    fitted = round(_FITTED * len(seen))
    return seen[:fitted], {REAL_LETTERS: seen[fitted:], SLASHES_AND_DOTS: read_letters(form, _UNSEEN)}


def read_letters(form: Form, names: Collection[str], *, most: int | None = None) -> NDArray[np.uint8]:
    """Real letters and operators of these `names` (w x y z plus minus slash dot), uint8 [N, rows*cols].

    They are prepared like digits, and come in a fixed random order. `most` limits their number.
    """
    arrays = _read()
    rows = np.flatnonzero(np.isin(arrays[f"{LETTERS}_names"], list(names)))
    order = np.random.default_rng(_ORDER_SEED).permutation(rows)[:most]
    return _prepare(list(arrays[LETTERS][order]), form)


def _read() -> dict[str, NDArray[Any]]:
    """All arrays of the file. Raises `DatasetError`."""
    try:
        content = FILE.read_bytes()
    except OSError as error:
        raise DatasetError(f"{FILE} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DatasetError(f"{FILE} is not the file that the recipes were made for: its SHA-256 differs")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _prepare(pictures: Sequence[NDArray[np.uint8]], form: Form) -> NDArray[np.uint8]:
    """Pictures uint8 [height, width], dark on light, as the pixels that the server would give the model."""
    pixels = np.zeros((len(pictures), form.rows * form.cols), np.uint8)
    for row, picture in enumerate(pictures):
        framed = np.pad(picture, round(_MARGIN * max(picture.shape)), constant_values=255)
        file = io.BytesIO()
        Image.fromarray(framed).save(file, "BMP")
        pixels[row] = prepare(file.getvalue(), form, max_image_pixels=framed.size).pixels
    return pixels
