"""Cells of a table that hold a whole image: a list of numbers, raw bytes, or an image file."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imaging.pixels import ImageWarning
from scoring.chunk import ErrorKind, RowError, Shape
from scoring.readers.images.decoding import Decoder
from scoring.readers.tables.arrow_storage import storage, stored
from scoring.readers.validate import describe_error, to_pixels, wrong_length

Pixels = NDArray[np.uint8]
Place = Callable[[int], str]
"""Row -> its place for messages: file, row, column."""

_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"RIFF")
_MAY_BE_ENCODED = np.isin(np.arange(256), list(b"\x89\xffGRB"))


def is_list(kind: pa.DataType) -> bool:
    """Whether it is a list of numbers, or a list of such lists."""
    kind = storage(kind)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    return is_list(kind.value_type) or is_number(kind.value_type)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether it is raw bytes of any length."""
    kind = storage(kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def is_file(kind: pa.DataType) -> bool:
    """Whether it is a struct with raw bytes in its field `bytes`, as Hugging Face's data sets hold image files."""
    kind = storage(kind)
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and is_bytes(kind.field("bytes").type))


def is_number(kind: pa.DataType) -> bool:
    """Whether it is a number or a bool."""
    kind = storage(kind)
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def is_encoded(data: bytes) -> bool:
    """Whether the bytes begin like an image file."""
    return data.startswith(_MAGICS) or (data[:2] == b"BM" and data[2:6] == len(data).to_bytes(4, "little"))


def read_lists(column: pa.Array, shape: Shape, place: Place) -> tuple[Pixels, dict[int, RowError]]:
    """Pixels of (nested) lists of numbers: uint8 [n, rows*cols]."""
    flat = column = stored(column)
    bounds = np.arange(len(column) + 1)
    while is_list(flat.type):
        lengths = pc.list_value_length(flat).fill_null(0).to_numpy(zero_copy_only=False)
        bounds = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[bounds]
        flat = stored(flat.flatten())
    values = numbers(flat, shape.pixel_max)
    lengths = np.diff(bounds)
    fits = lengths == shape.features
    rows = np.flatnonzero(fits)
    if len(rows) < len(column):
        values = values[np.repeat(fits, lengths)]
    found, flaws = to_pixels(
        values.reshape(len(rows), shape.features),
        shape,
        lambda row, pixel: f"{place(int(rows[row]))}, value {pixel}",
        missing=flat.null_count > 0,
    )
    if len(rows) == len(column):
        return found, flaws
    pixels = np.zeros((len(column), shape.features), np.uint8)
    pixels[rows] = found
    errors = {int(rows[row]): error for row, error in flaws.items()}
    for row in np.flatnonzero(~fits).tolist():
        where = place(row)
        errors[row] = wrong_length(int(lengths[row]), shape, where) if column[row].is_valid else _empty(where, shape)
    return pixels, errors


def read_bytes(
    column: pa.Array, shape: Shape, place: Place, decoder: Decoder
) -> tuple[Pixels, dict[int, RowError], dict[int, Sequence[ImageWarning]]]:
    """Pixels of raw bytes or image files: uint8 [n, rows*cols], a view of the column if all cells are raw.

    The warnings are those of the image files.
    """
    column = stored(column)
    if is_file(column.type):
        column = stored(pc.struct_field(column, "bytes"))
    raw = _raw(column, shape)
    if raw is not None:
        return *to_pixels(raw, shape, lambda row, pixel: f"{place(row)}, byte {pixel}"), {}
    cells: Sequence[bytes | None] = column.to_pylist()
    pixels = np.zeros((len(cells), shape.features), np.uint8)
    errors = {}
    warnings: dict[int, Sequence[ImageWarning]] = {}
    encoded = [row for row, cell in enumerate(cells) if cell and is_encoded(cell)]
    for row, decoded in zip(encoded, decoder.decode(cells[row] or b"" for row in encoded), strict=True):
        if isinstance(decoded, str):
            errors[row] = RowError(ErrorKind.IMAGE, f"{place(row)}: {decoded}")
        else:
            pixels[row], warnings[row] = decoded.pixels, decoded.warnings
    plain = sorted({*range(len(cells))} - {*encoded})
    for row in plain:
        cell = cells[row]
        if cell is None:
            errors[row] = _empty(place(row), shape)
        elif len(cell) != shape.features:
            errors[row] = RowError(
                ErrorKind.LENGTH,
                f"{place(row)}: it has {len(cell)} bytes, expected an image file, or {shape.features} for images "
                f"of {shape.rows}×{shape.cols}",
            )
        else:
            pixels[row] = np.frombuffer(cell, np.uint8)
    found, flaws = to_pixels(pixels, shape, lambda row, pixel: f"{place(row)}, byte {pixel}")
    return found, errors | flaws, warnings


def numbers(column: pa.Array, full: int = 1) -> NDArray[np.generic]:
    """A column of numbers or bools as a NumPy array: bools as 0 and `full`, missing values as NaN."""
    column = stored(column)
    flags = pa.types.is_boolean(column.type)
    values: NDArray[Any] = (column.cast(pa.uint8()) if flags else column).to_numpy(zero_copy_only=False)
    return values * values.dtype.type(full) if flags else values


def _raw(column: pa.Array, shape: Shape) -> Pixels | None:
    """A view of a column whose cells are all raw pixels, else None."""
    if column.null_count or not len(column):
        return None
    size = shape.features
    if pa.types.is_fixed_size_binary(column.type):
        if column.type.byte_width != size:
            return None
        first = column.offset * size
        data = column.buffers()[1]
    else:
        width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
        _, offsets, data = column.buffers()
        ends = np.frombuffer(offsets, width)[column.offset : column.offset + len(column) + 1]
        if not (np.diff(ends) == size).all():
            return None
        first = int(ends[0])
    pixels = np.frombuffer(data, np.uint8, count=len(column) * size, offset=first).reshape(len(column), size)
    for row in np.flatnonzero(_MAY_BE_ENCODED[pixels[:, 0]]).tolist():
        if is_encoded(pixels[row].tobytes()):
            return None
    return pixels


def _empty(where: str, shape: Shape) -> RowError:
    return describe_error(None, shape, where)
