"""What is no picture is refused with a sentence, before it costs anything."""

import contextlib
import io
import re
import struct
import time
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from imaging.decode import ImageError, read_picture
from imaging.sanitize import slim_gif, slim_jpeg, slim_png, slim_webp

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
        (b"II*\x00\x08\x00\x00\x00", "TIFF image, expected PNG, JPEG, GIF, BMP or WebP"),
        (b"MM\x00+\x00\x08\x00\x00", "TIFF image, expected PNG, JPEG, GIF, BMP or WebP"),
        (b"P2\n1 1\n255\n0\n", "PPM image, expected PNG, JPEG, GIF, BMP or WebP"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "not of WebP"),
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
    """A file with bytes changed, doubled or lost may be readable or not; nothing but an ImageError comes out."""
    data = file_of(file_format, side=16)
    rng = np.random.default_rng(1)
    for _ in range(400):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 200), 4):
            damaged[place] = rng.integers(0, 256)
        place, some = (int(number) for number in rng.integers(0, len(data), 2))
        damaged[place:place] = damaged[place : place + some % 24]
        del damaged[some : some + place % 5]
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


def test_other_formats_that_pillow_reads_are_refused():
    """TIFF and PPM cost far more than their size tells, so they are named and not read."""
    for file_format in ("TIFF", "PPM"):
        with pytest.raises(ImageError, match=f"{file_format} image, expected PNG, JPEG, GIF, BMP or WebP"):
            read_picture(file_of(file_format), max_image_pixels=LIMIT)


@pytest.mark.parametrize("compression", [1, 2])
def test_a_run_length_compressed_bmp_is_refused(compression: int):
    """Pillow would expand it in Python, for seconds."""
    header = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8 if compression == 1 else 4, compression, 4, 0, 0, 0, 0)
    data = b"BM" + struct.pack("<IHHI", 1100, 0, 0, 1078) + header + bytes(1024) + b"\x08\x01\x00\x01"
    with pytest.raises(ImageError, match="run-length compressed"):
        read_picture(data, max_image_pixels=LIMIT)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    inside = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def vast_gif(disposal: int) -> bytes:
    """A GIF of 9×9 whose first picture is 12,528 pixels wide and high."""
    control = b"!\xf9\x04" + bytes([disposal << 2]) + bytes(4)
    picture = b"," + struct.pack("<HHHHB", 0, 0, 12_528, 12_528, 0) + b"\x08\x02\x00\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + control + picture


def vast_webp() -> bytes:
    """A WebP whose canvas is 13,000 pixels wide and high, with one frame of 16×16 on it."""
    side = (12_999).to_bytes(3, "little")
    frame = bytes(6) + (15).to_bytes(3, "little") * 2 + bytes(4)
    frame += riff_body(file_of("WEBP", 16))
    return riff((b"VP8X", b"\x02\0\0\0" + side * 2), (b"ANIM", bytes(6)), (b"ANMF", frame))


def riff_body(webp: bytes) -> bytes:
    return webp[12:]


@pytest.mark.parametrize("data", [vast_gif(0), vast_gif(2), vast_gif(3), vast_webp()])
def test_the_decoder_never_meets_a_vast_header(data: bytes, monkeypatch: pytest.MonkeyPatch):
    """GIF and WebP decoders allocate the screen while they open a file, so its size is judged before."""
    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile.__init__", None)
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile.__init__", None)
    with pytest.raises(ImageError, match=r"more than the 25000000 allowed"):
        read_picture(data, max_image_pixels=LIMIT)


def exif_of_many(entries: int, size: int) -> bytes:
    """EXIF data whose entries all claim the same `size` bytes, a copy each to whoever reads them."""
    listed = b"".join(struct.pack(">HHII", 1 + index, 7, size, 8) for index in range(entries))
    return b"MM\x00*" + struct.pack(">IH", 8, entries) + listed + bytes(size)


def with_exif(file_format: str) -> bytes:
    exif = exif_of_many(200, 1_000_000 if file_format == "PNG" else 60_000)
    data = file_of(file_format)
    if file_format == "PNG":
        return data[:33] + chunk(b"eXIf", exif) + data[33:]
    # Pillow joins what several segments hold; without a resolution in JFIF it parses that at once.
    parts = [exif[at : at + 65_000] for at in range(0, len(exif), 65_000)]
    segments = [b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts]
    return data[:2] + b"".join(segments) + data[20:]


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_metadata_take_no_room(file_format: str):
    """Hundreds of EXIF entries over the same bytes are not copied hundreds of times, as Pillow 12 would."""
    data = with_exif(file_format)
    tracemalloc.start()
    try:
        assert read_picture(data, max_image_pixels=LIMIT).shape == (64, 64)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_jpeg_of_endless_scans_is_refused():
    """Each scan goes over the whole picture for a few bytes; encoders write about ten."""
    buffer = io.BytesIO()
    Image.new("L", (640, 640), 90).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    assert read_picture(data, max_image_pixels=LIMIT).shape == (640, 640)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match="more than 50 scans"):
        read_picture(data[:-2] + scan * 50 + b"\xff\xd9", max_image_pixels=LIMIT)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("PNG of empty chunks", file_of("PNG")[:33] + chunk(b"IDAT", b"") * 300_000 + file_of("PNG")[33:]),
        ("PNG of empty texts", file_of("PNG")[:33] + chunk(b"tEXt", b"") * 300_000 + file_of("PNG")[33:]),
        ("JPEG of empty segments", b"\xff\xd8" + b"\xff\xe1\x00\x02" * 1_000_000),
        ("JPEG of padding", b"\xff\xd8" + b"\xff" * 4_000_000),
        ("GIF of tiny comments", b"GIF89a" + bytes(7) + b"!\xfe" + b"\x01a" * 2_000_000 + b"\0;"),
        ("GIF of nothing", b"GIF89a" + bytes(4_000_000)),
        ("WebP of empty chunks", riff(*[(b"abcd", b"")] * 500_000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_four_megabytes_of_nothing_are_soon_done(name: str, data: bytes):
    """However finely a file is cut up, looking through it takes a time that grows with its bytes alone."""
    start = time.thread_time()
    with contextlib.suppress(ImageError):
        read_picture(data, max_image_pixels=LIMIT)
    assert time.thread_time() - start < 30


def test_only_the_picture_reaches_the_decoder():
    """Texts, profiles, EXIF data and later frames are left out; the picture is the same to the bit."""
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (32, 48, 3), np.uint8)) for _ in range(3)]
    exif = Image.Exif()
    exif[0x010F] = "camera" * 99
    for file_format, slim, options in (
        ("PNG", slim_png, {}),
        ("JPEG", slim_jpeg, {"progressive": True}),
        ("WEBP", slim_webp, {"lossless": True}),
        ("GIF", slim_gif, {}),
    ):
        buffer = io.BytesIO()
        more = {"save_all": True, "append_images": frames[1:]} if file_format in ("GIF", "WEBP") else {}
        frames[0].save(buffer, file_format, exif=exif, icc_profile=bytes(999), comment="c" * 99, **options, **more)
        slimmed = slim(buffer.getvalue())
        assert (slimmed.width, slimmed.height) == (48, 32)
        assert not re.search(b"camera|ccccc", slimmed.data)
        with Image.open(io.BytesIO(slimmed.data)) as after, Image.open(buffer) as before:
            assert np.array_equal(np.asarray(after.convert("RGB")), np.asarray(before.convert("RGB")))
