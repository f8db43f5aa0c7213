"""Converts numbers to pixels: integers within the model's range, or an error of the row."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.chunk import ErrorKind, RowError, Shape

Where = Callable[[int, int], str]
"""Row and column (both within the array) -> how to find them: file, row, column."""


def to_pixels(
    values: NDArray[Any], shape: Shape, where: Where, *, missing: bool = False
) -> tuple[NDArray[np.uint8], dict[int, RowError]]:
    """`values`, numbers or bools [n, rows*cols], as uint8 of the same shape, and the rows in which one does not fit.

    uint8 comes back as it is, a view, unless a row has an error: that one holds zeros. A bool is no ink or full ink,
    0 or the range's top. With `missing`, NaN stands for a value that was not there.
    """
    if values.dtype == np.bool_:
        return values * np.uint8(shape.pixel_max), {}
    with np.errstate(invalid="ignore"):
        pixels = values if values.dtype == np.uint8 else values.astype(np.uint8)
    bad = None
    if values.dtype != np.uint8:
        bad = pixels != values  # NaN, fractions and values beyond 0..255
    if shape.pixel_max < 255 and int(pixels.max(initial=0)) > shape.pixel_max:
        above = pixels > shape.pixel_max
        bad = above if bad is None else bad | above
    if bad is None or not bad.any():
        return pixels, {}
    errors = {}
    rows = np.flatnonzero(bad.any(axis=1))
    columns = bad[rows].argmax(axis=1)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        errors[row] = describe_error(values[row, column].item(), shape, where(row, column), missing=missing)
    pixels = pixels.copy()
    pixels[rows] = 0
    return pixels, errors


def describe_error(value: float | None, shape: Shape, where: str, *, missing: bool = False) -> RowError:
    """The error of a value that is not a pixel of `shape`."""
    if value is None or (value != value and missing):
        kind, what = ErrorKind.MISSING, "missing"
    elif value != value:
        kind, what = ErrorKind.NAN, "NaN"
    elif value < 0:
        kind, what = ErrorKind.NEGATIVE, f"{value:g}" if isinstance(value, float) else f"{value}"
    elif value > shape.pixel_max:
        kind, what = ErrorKind.ABOVE, f"{value:g}" if isinstance(value, float) else f"{value}"
    else:
        kind, what = ErrorKind.FRACTION, f"{value:g}"
    return RowError(kind, f"{where}: the pixel is {what}, expected a whole number in 0..{shape.pixel_max}")


def wrong_length(found: int, shape: Shape, where: str) -> RowError:
    """A row that has not as many pixels as the model takes."""
    return RowError(
        ErrorKind.LENGTH,
        f"{where}: it has {found} pixels, expected {shape.features} for images of {shape.rows}×{shape.cols}",
    )
