"""What is no picture is refused with a sentence, before it costs anything."""

import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from artifact.picture import ImageError, read_picture

LIMIT = 25_000_000
FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP"]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def vast_png(width: int, height: int) -> bytes:
    """A PNG that says it is of that size and ends after a few rows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")


def file_of(file_format: str, side: int = 64) -> bytes:
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (side, side), np.uint8)).save(buffer, file_format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"seven", "not an image"),
        (bytes(1000), "not an image"),
        (b"%PDF-1.7\n1 0 obj", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\n<?xml version='1.0'?><svg/>", "XML"),
        (b"\x00\x00\x00\x18ftypheic", "HEIC"),
        (b"PK\x03\x04", "ZIP"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
    ],
)
def test_what_is_no_image(data: bytes, words: str):
    """Text, drawings and documents are refused; the sentence says what it is or what would be read."""
    with pytest.raises(ImageError, match=words):
        read_picture(data, max_image_pixels=LIMIT)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_truncated_file(file_format: str, share: float):
    """However much of a file is missing, it is an ImageError in one line, in every format."""
    data = file_of(file_format)
    with pytest.raises(ImageError) as caught:
        read_picture(data[: int(len(data) * share)], max_image_pixels=LIMIT)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("file_format", FORMATS)
def test_damaged_bytes_give_a_picture_or_an_image_error(file_format: str):
    """A file with random bytes in it may be readable or not; nothing but an ImageError comes out."""
    data = file_of(file_format, side=16)
    rng = np.random.default_rng(1)
    for _ in range(100):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 200), 5):
            damaged[place] = rng.integers(0, 256)
        try:
            grey = read_picture(bytes(damaged), max_image_pixels=100_000)
        except ImageError:
            continue
        assert grey.dtype == np.float32
        assert grey.min() >= 0
        assert grey.max() <= 1


@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 12_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_from_its_header(size: tuple[int, int]):
    """A vast PNG is refused with its size and the limit, without room for its pixels, and without a warning."""
    data = vast_png(*size)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ImageError, match=f"{size[0]}×{size[1]} = {size[0] * size[1]} pixels.* 25000000"):
                read_picture(data, max_image_pixels=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_limit_counts_pixels(file_format: str):
    """A picture of exactly the limit is read, one pixel more is refused; Pillow's own limit has no say."""
    data = file_of(file_format)
    assert read_picture(data, max_image_pixels=64 * 64).shape == (64, 64)
    with pytest.raises(ImageError, match="64×64"):
        read_picture(data, max_image_pixels=64 * 64 - 1)


def test_pillows_limit_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    """The caller's limit holds even where Pillow's global one is lower, and the global stays as it is."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_picture(file_of("PNG"), max_image_pixels=64 * 64).shape == (64, 64)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_large_photo_is_reduced(file_format: str):
    """A picture of many pixels comes back at no more than 1,024 along its longer side, its shape kept."""
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 3000), "white").save(buffer, file_format)
    height, width = read_picture(buffer.getvalue(), max_image_pixels=LIMIT).shape
    assert 500 <= width <= 1024
    assert width / height == pytest.approx(4 / 3, rel=0.01)


def test_grey_of_16_bits_keeps_its_shades():
    """A 16-bit grey PNG spans 0..1 as an 8-bit one does."""
    shades = np.arange(0, 65536, 257, np.uint16).reshape(16, 16)
    buffer = io.BytesIO()
    Image.fromarray(shades).save(buffer, "PNG")
    grey = read_picture(buffer.getvalue(), max_image_pixels=LIMIT)
    assert grey.ravel() == pytest.approx(np.arange(256) / 255, abs=1e-6)
