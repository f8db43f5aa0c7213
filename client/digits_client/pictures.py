"""PIL images -> image files, with all that the server reads in one: how it is to be turned, and what is transparent."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Picture(Protocol):
    """What is needed of a `PIL.Image.Image`."""

    mode: str

    def convert(self, mode: str) -> Any: ...  # noqa: D102 Pillow's
    def save(self, fp: Any, format: str) -> None: ...  # noqa: A002, D102 Pillow's, the parameter's name as well


# Formats of files that the server reads, as Pillow names them. Not BMP, whose files are large and hold no more than
# their pixels.
_READ = ("PNG", "JPEG", "MPO", "GIF", "WEBP")
# Modes that a PNG file holds without loss, and colours that become RGB.
_HELD = ("1", "L", "P", "RGB")
_COLOURS = ("RGBX", "CMYK", "YCbCr", "HSV")
# Numbers without a range, which are brought into 16 bits.
_NUMBERS = ("I", "F")

_ORIENTATION = 0x0112


def encode(picture: Any) -> bytes:
    """A file of what the picture shows: the one that it was opened from, or a PNG file where it was changed since.

    A picture that was opened is turned as its EXIF says, like its file; one that came of another by a method such as
    `crop` or `rotate` is taken as it stands. Raises `ValueError` for what no PNG file can hold, `OSError` for a picture
    whose file cannot be read any more.
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
    _without_loss(picture).save(buffer, "PNG", exif=exif, icc_profile=None)
    return buffer.getvalue()


def _original(picture: Any) -> bytes | None:
    """The file that the picture was opened from; None where it is gone, or shows something else."""
    if picture.format not in _READ:
        return None
    for source in (_opened, _named):
        with suppress(Exception):  # it is closed, gone or another by now; decoders raise whatever that leads them to
            data = source(picture)
            if _shows(picture, data):
                return data
    return None


def _opened(picture: Any) -> bytes:
    """What is in the file that the picture has open."""
    file = picture.fp
    place = file.tell()
    try:
        file.seek(0)
        data: bytes = file.read()
    finally:
        file.seek(place)
    return data


def _named(picture: Any) -> bytes:
    return Path(os.fsdecode(picture.filename)).read_bytes()


def _shows(picture: Any, data: bytes) -> bool:
    """Whether the picture is what that file shows first; it may be at another frame, or changed in place."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as file:
        if picture.tile:  # not decoded yet, and so not drawn on; to decode it could close its file
            same: bool = file.tile == picture.tile
            if picture.format == "PNG":  # whose EXIF comes with the pixels
                return same
        else:
            file.load()
            same = file == picture
        return same and bool(file.getexif().get(_ORIENTATION) == picture.getexif().get(_ORIENTATION))


def _without_loss(picture: Any) -> Any:
    """The picture in a mode that a PNG file holds."""
    from PIL import Image

    width, height = picture.size
    if not width * height:
        raise ValueError(f"the PIL image is {width}×{height} pixels, so there is nothing in it")
    mode = picture.mode
    if mode in _NUMBERS:
        return _in_16_bits(picture)
    if mode.startswith("I;16"):
        return Image.fromarray(np.asarray(picture).astype(np.uint16))
    if mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    if mode in _HELD:
        return picture
    if mode in _COLOURS:
        return picture.convert("RGB")
    raise ValueError(f"the PIL image has mode {mode}, which no PNG file holds; expected another, such as RGB or L")


def _in_16_bits(picture: Any) -> Any:
    """A grey PIL image of mode I or F as one of 16 bits; its range is taken for the narrowest usual one."""
    from PIL import Image

    values = np.nan_to_num(np.asarray(picture, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    values = values - values.min(initial=0.0)
    peak = values.max(initial=0.0)
    usual = 1.0 if picture.mode == "F" and peak <= 1 else 255.0 if peak <= 255 else 65535.0
    return Image.fromarray(np.rint(values / max(usual, peak) * 65535).astype(np.uint16))
