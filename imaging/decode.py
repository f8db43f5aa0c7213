"""An image file of any kind, from anyone -> grey values; Pillow meets hostile bytes here and nowhere else."""

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from imaging.sanitize import slim_bmp, slim_gif, slim_jpeg, slim_png, slim_webp

# The limit that counts is the caller's `max_image_pixels`. Pillow's own is a global, and lower for some.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Damage in a client's file is told to the client, not to the server's stderr.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

FORMATS = "PNG, JPEG, GIF, BMP or WebP"

# By the first bytes. The classes are called directly: Image.open would apply Pillow's global limit, and
# on demand import a parser for any of fifty formats. Others are left out on purpose: a TIFF file of 1 KB
# makes libtiff allocate gigabytes, and PPM is decoded in Python, for seconds.
_KINDS: tuple[tuple[bytes, Any, Any], ...] = (
    (b"\x89PNG\r\n\x1a\n", slim_png, PngImagePlugin.PngImageFile),
    (b"\xff\xd8\xff", slim_jpeg, JpegImagePlugin.JpegImageFile),
    (b"GIF87a", slim_gif, GifImagePlugin.GifImageFile),
    (b"GIF89a", slim_gif, GifImagePlugin.GifImageFile),
    (b"BM", slim_bmp, BmpImagePlugin.BmpImageFile),
    (b"RIFF", slim_webp, WebPImagePlugin.WebPImageFile),
)

# Formats people do send, to be named in the refusal.
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF file"),
    (b"%!PS", "a PostScript file"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"8BPS", "a Photoshop file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x93NUMPY", "a NumPy array"),
    *((magic, "a TIFF image") for magic in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
    *((b"P%d%c" % (kind, space), "a PPM image") for kind in range(1, 8) for space in b"\n\r\t #"),
)

# How each EXIF orientation is undone, see the EXIF standard, tag 0x0112.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# The orientations that exchange width and height.
_ON_ITS_SIDE = (5, 6, 7, 8)

# BMP's two compressions, which Pillow decodes in Python, for seconds.
_RUN_LENGTHS = (BmpImagePlugin.BmpImageFile.COMPRESSIONS["RLE8"], BmpImagePlugin.BmpImageFile.COMPRESSIONS["RLE4"])

# A picture is worked on at no more than this many pixels along its longer side.
_SIDE = 1024

# Grey weights of red, green and blue, ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Grey values of 0..1 closer than this look the same.
VISIBLE = 0.06


class ImageError(ValueError):
    """The bytes are no picture that can be read; the message is one sentence that says why."""


def read_picture(data: bytes, *, max_image_pixels: int) -> NDArray[np.float32]:
    """The first frame of an image file, upright, as float32 [height, width] grey values, 0 black to 1 white.

    Large pictures come back reduced by a whole factor, to at most 1,024 pixels along the longer side.
    Transparent pictures are laid on white, or on black when nothing shows on white.

    Raises `ImageError` when `data` is not an image, of a format other than `FORMATS`, damaged, or of more
    than `max_image_pixels` pixels; the size is read from the header, before anything is decoded.
    """
    return read_picture_and_size(data, max_image_pixels=max_image_pixels)[0]


def read_picture_and_size(data: bytes, *, max_image_pixels: int) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The same, and height and width of the whole picture, upright, in its own pixels."""
    image, orientation = _open(data, max_image_pixels)
    width, height = image.size
    size = (width, height) if orientation in _ON_ITS_SIDE else (height, width)
    try:
        image.draft("L", (_SIDE, _SIDE))  # lets libjpeg decode at 1/2, 1/4 or 1/8 of the size
        image.load()
        return _grey(image, orientation), size
    except MemoryError:
        raise ImageError(f"the image of {width}×{height} pixels does not fit into memory") from None
    except Exception as error:  # decoders raise whatever the damage leads them to
        raise ImageError(f"the {image.format} image is truncated or damaged ({_reason(error)})") from None


def _open(data: bytes, max_image_pixels: int) -> tuple[Any, int]:
    """The header parsed and found within the limit, nothing decoded; with the EXIF orientation."""
    if not data:
        raise ImageError("the image is empty: 0 bytes")
    for magic, slim, kind in _KINDS:
        if data.startswith(magic):
            try:
                slimmed = slim(data)
                # Before Pillow comes in: for some formats it allocates what the header says at once.
                _check(slimmed.width, slimmed.height, max_image_pixels)
                image = kind(io.BytesIO(slimmed.data))
                if image.size != (slimmed.width, slimmed.height):
                    raise ValueError("it contradicts itself")
            except ImageError:
                raise
            except Exception as error:  # header parsers raise whatever the damage leads them to
                raise ImageError(
                    f"the bytes begin like an image but its header is truncated or damaged ({_reason(error)})"
                ) from None
            if image.format == "BMP" and image.info["compression"] in _RUN_LENGTHS:
                raise ImageError("the BMP image is run-length compressed, expected one that is not, or a PNG image")
            return image, slimmed.orientation
    start = data[:256].lstrip(b"\xef\xbb\xbf\r\n\t ")
    for magic, name in _REFUSED:
        if start.startswith(magic):
            raise ImageError(f"the file is {name}, expected {FORMATS}")
    if data[4:8] == b"ftyp":
        raise ImageError(f"the file is a HEIC, AVIF or video file, expected {FORMATS}")
    raise ImageError(f"the bytes are not an image of a known format, expected {FORMATS}")


def _check(width: int, height: int, max_image_pixels: int) -> None:
    if width * height > max_image_pixels:
        raise ImageError(
            f"the image is {width}×{height} = {width * height} pixels, more than the {max_image_pixels} allowed"
        )
    if width * height == 0:
        raise ImageError(f"the image is {width}×{height} pixels, so there is nothing in it")


def _reason(error: Exception) -> str:
    """The decoder's words, short and in one line."""
    return " ".join(str(error).split())[:120] or type(error).__name__


def _grey(image: Image.Image, orientation: int) -> NDArray[np.float32]:
    """Grey values of a decoded image, reduced, upright and laid on a background."""
    factor = -(-max(image.size) // _SIDE)
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray(np.asarray(image, np.float32) / np.float32(65535))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode in ("1", "P") else "RGB")
    if image.mode == "RGB":
        image = image.convert("L")
    if factor > 1:
        image = image.reduce(factor)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    values = np.asarray(image, np.float32)
    if image.mode == "F":
        return values
    if image.mode == "L":
        return values / np.float32(255)
    shades, alpha = values[..., :3] @ _LUMA / np.float32(255), values[..., 3] / np.float32(255)
    on_white = shades * alpha + (1 - alpha)
    return shades * alpha if np.ptp(on_white) < VISIBLE else on_white
