"""PIL images -> image files that keep what the server reads: EXIF orientation and transparency."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Picture(Protocol):
    """The part of `PIL.Image.Image` that `encode` needs."""

    mode: str

    def convert(self, mode: str) -> Any: ...  # noqa: D102 Pillow's
    def save(self, fp: Any, format: str) -> None: ...  # noqa: A002, D102 Pillow's, the parameter's name as well


# Formats that the server reads, by Pillow's names. Not BMP: its files are large and hold only the pixels.
_READ = ("PNG", "JPEG", "MPO", "GIF", "WEBP")
# Modes that PNG stores without loss, and color modes that become RGB.
_LOSSLESS = ("1", "L", "P", "RGB")
_COLORS = ("RGBX", "CMYK", "YCbCr", "HSV")
# Modes of numbers without a range; these are scaled to 16 bits.
_NUMBERS = ("I", "F")

_ORIENTATION = 0x0112


def encode(picture: Any) -> bytes:
    """The file that the picture was opened from, or a PNG file if the picture has changed since.

    An opened picture keeps its EXIF orientation. The results of `crop`, `rotate` and the like have no orientation.
    Raises `ValueError` for a mode that PNG cannot store, and `OSError` if the file is no longer readable.
    """
    from PIL import Image, ImageFile  # a caller with a PIL image has Pillow

    exif = Image.Exif()
    if isinstance(picture, ImageFile.ImageFile):
        original = _original(picture)
        if original is not None:
            return original
        if "exif" in picture.info:
            exif[_ORIENTATION] = picture.getexif().get(_ORIENTATION, 1)
    buffer = io.BytesIO()
    _lossless(picture).save(buffer, "PNG", exif=exif, icc_profile=None)
    return buffer.getvalue()


def _original(picture: Any) -> bytes | None:
    """The file that the picture was opened from; None if it is missing or shows another image."""
    if picture.format not in _READ:
        return None
    for source in (_read_open_file, _read_named_file):
        with suppress(Exception):  # closed, missing or replaced files make decoders raise any error
            data = source(picture)
            if _matches(picture, data):
                return data
    return None


def _read_open_file(picture: Any) -> bytes:
    """The bytes of the file that the picture has open."""
    file = picture.fp
    place = file.tell()
    try:
        file.seek(0)
        data: bytes = file.read()
    finally:
        file.seek(place)
    return data


def _read_named_file(picture: Any) -> bytes:
    return Path(os.fsdecode(picture.filename)).read_bytes()


def _matches(picture: Any, data: bytes) -> bool:
    """Whether the picture is the first frame of that file; it may be another frame or changed in place."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as file:
        if picture.tile:  # not decoded, hence not changed; decoding could close its file
            same: bool = file.tile == picture.tile
            if picture.format == "PNG":  # its EXIF is read with the pixels
                return same
        else:
            file.load()
            same = file == picture
        return same and bool(file.getexif().get(_ORIENTATION) == picture.getexif().get(_ORIENTATION))


def _lossless(picture: Any) -> Any:
    """The picture in a mode that PNG stores."""
    from PIL import Image

    width, height = picture.size
    if not width * height:
        raise ValueError(f"the PIL image has {width}×{height} pixels, expected at least one")
    mode = picture.mode
    if mode in _NUMBERS:
        return _in_16_bits(picture)
    if mode.startswith("I;16"):
        return Image.fromarray(np.asarray(picture).astype(np.uint16))
    if mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if mode in _LOSSLESS:
        return picture
    if mode in _COLORS:
        return picture.convert("RGB")
    raise ValueError(f"the PIL image has mode {mode}, expected a mode that PNG stores, such as RGB or L")


def _in_16_bits(picture: Any) -> Any:
    """A gray PIL image of mode I or F with 16 bits; its range is the narrowest of the usual ones that holds it."""
    from PIL import Image

    values = np.nan_to_num(np.asarray(picture, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    values = values - values.min(initial=0.0)
    peak = values.max(initial=0.0)
    usual = 1.0 if picture.mode == "F" and peak <= 1 else 255.0 if peak <= 255 else 65535.0
    return Image.fromarray(np.rint(values / max(usual, peak) * 65535).astype(np.uint16))
