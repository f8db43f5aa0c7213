"""A PIL image is read as its file would be, or as it was changed since."""

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digits_client import AsyncDigitsClient, DigitsClient
from digits_client.images import read_images
from digits_client.pictures import encode
from PIL import Image, ImageDraw, ImageOps

from imaging.decode import read_picture

_ORIENTATION = 0x0112


def drawn() -> Image.Image:
    """Ink on paper, not the same from any two sides, in colour."""
    picture = Image.new("RGB", (60, 80), (250, 240, 230))
    pen = ImageDraw.Draw(picture)
    pen.line((10, 8, 14, 70), fill=(20, 30, 90), width=7)
    pen.line((14, 70, 52, 60), fill=(90, 20, 30), width=5)
    return picture


def alpha() -> Image.Image:
    return Image.fromarray(np.linspace(255, 40, 80).astype(np.uint8).repeat(60).reshape(80, 60))


def coloured(mode: str) -> Image.Image:
    """The drawing in that mode; what can hold transparency has some."""
    picture = drawn()
    if mode in ("LA", "RGBA"):
        picture = picture.convert(mode)
        picture.putalpha(alpha())
    elif mode == "P with alpha":
        picture.putalpha(alpha())
        picture = picture.quantize(32)
    elif mode == "P with a transparent colour":
        picture = picture.quantize(8)
        picture.info["transparency"] = picture.getpixel((0, 0))
    elif mode == "RGB with a transparent colour":
        picture.info["transparency"] = picture.getpixel((0, 0))
    elif mode == "L with a transparent colour":
        picture = picture.convert("L")
        picture.info["transparency"] = picture.getpixel((0, 0))
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 200 + 99)
    elif mode == "P":
        picture = picture.quantize(16)
    else:
        picture = picture.convert(mode)
    return picture


MODES = [
    *("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "P with alpha", "P with a transparent colour"),
    *("RGB with a transparent colour", "L with a transparent colour"),
]


def files() -> Iterator[Any]:
    """Files of every mode that a format has, and of every orientation that a file can tell."""
    for format_, mode in itertools.product(("PNG", "JPEG", "GIF", "BMP", "WEBP"), MODES):
        for orientation in range(10) if format_ in ("PNG", "JPEG", "WEBP") and mode in ("L", "RGB", "LA") else (0, 6):
            exif = Image.Exif()
            if orientation:
                exif[_ORIENTATION] = orientation
            told: dict[str, Any] = {"exif": exif} if format_ in ("PNG", "JPEG", "WEBP") else {}
            picture, buffer = coloured(mode), io.BytesIO()
            if "transparency" in picture.info and format_ in ("PNG", "GIF"):
                told["transparency"] = picture.info["transparency"]
            try:
                picture.save(
                    buffer, format_, icc_profile=b"profile" * 20 if format_ in ("PNG", "JPEG") else None, **told
                )
            except (OSError, ValueError, TypeError):
                continue  # the format has no such mode
            yield pytest.param(buffer.getvalue(), id=f"{format_}, {mode}, orientation {orientation}")


def read(data: bytes) -> np.ndarray:
    """As the server reads a file."""
    return read_picture(data, max_image_pixels=10**7)


def read_loaded(data: bytes) -> np.ndarray:
    """As it reads what was sent of a picture whose file is gone."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return read(encode(picture))


FILES = list(files())
LOSSLESS = [each for each in FILES if not each.id.startswith("JPEG")]
LOSSY = [each for each in FILES if each.id.startswith("JPEG")]


@pytest.mark.parametrize("data", FILES)
def test_an_opened_picture_is_read_like_its_file(tmp_path: Path, data: bytes):
    """From a path or from a file, decoded already or not yet; and each time that it is sent."""
    path = tmp_path / "picture"
    path.write_bytes(data)
    wanted = read(data)
    with Image.open(path) as picture:
        for _ in range(2):
            np.testing.assert_array_equal(read(encode(picture)), wanted)
    with Image.open(path) as picture:
        picture.load()
        np.testing.assert_array_equal(read(encode(picture)), wanted)
    picture = Image.open(io.BytesIO(data))
    for _ in range(2):
        np.testing.assert_array_equal(read(encode(picture)), wanted)


@pytest.mark.parametrize("data", LOSSLESS)
def test_a_picture_whose_file_is_gone(data: bytes):
    """Its pixels, its transparency and how it is turned are what the file had."""
    np.testing.assert_array_equal(read_loaded(data), read(data))


@pytest.mark.parametrize("data", LOSSY)
def test_a_jpeg_picture_whose_file_is_gone(data: bytes):
    """The same, but for the rounding and clipping of its colours."""
    np.testing.assert_allclose(read_loaded(data), read(data), atol=0.05)


def photo(orientation: int = 6) -> bytes:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[_ORIENTATION] = orientation
    drawn().save(buffer, "JPEG", exif=exif, quality=95)
    return buffer.getvalue()


def as_it_stands(picture: Image.Image) -> np.ndarray:
    """As the server reads these very pixels."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(picture)).save(buffer, "PNG")
    return read(buffer.getvalue())


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.rotate(-90, expand=True),
        lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
        lambda picture: picture.crop((4, 4, 50, 76)),
        lambda picture: picture.resize((30, 40)),
        lambda picture: picture.convert("L"),
        lambda picture: picture.copy(),
        ImageOps.exif_transpose,
        ImageOps.mirror,
    ],
)
def test_a_picture_that_came_of_another_is_taken_as_it_stands(change: Callable[[Any], Any]):
    """What Pillow carries along of the first one's EXIF does not turn it a second time."""
    changed = change(Image.open(io.BytesIO(photo())))
    np.testing.assert_array_equal(read(encode(changed)), as_it_stands(changed))


@pytest.mark.parametrize("path", [False, True])
@pytest.mark.parametrize(
    ("change", "turned"),
    [
        (lambda picture: ImageDraw.Draw(picture).rectangle((5, 5, 30, 30), fill=(0, 0, 0)), True),
        (lambda picture: picture.paste((0, 0, 0), (5, 5, 30, 30)), True),
        (lambda picture: picture.thumbnail((40, 40)), True),
        (lambda picture: ImageOps.exif_transpose(picture, in_place=True), False),
        (lambda picture: picture.getexif().__delitem__(_ORIENTATION), False),
        (lambda picture: picture.getexif().__setitem__(_ORIENTATION, 1), False),
    ],
)
def test_a_picture_that_was_changed_in_place(tmp_path: Path, change: Callable[[Any], Any], turned: bool, path: bool):
    """Is sent as it was changed, though its file is still there; and turned where its EXIF still says so."""
    (tmp_path / "photo.jpg").write_bytes(photo())
    picture = Image.open(tmp_path / "photo.jpg" if path else io.BytesIO(photo()))
    change(picture)
    wanted = as_it_stands(picture)
    np.testing.assert_array_equal(read(encode(picture)), np.rot90(wanted, -1) if turned else wanted)


def test_a_file_that_is_another_one_by_now(tmp_path: Path):
    """The picture counts, not what stands under its name."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo())
    picture = Image.open(path)
    picture.load()
    ImageOps.invert(drawn()).save(path)
    np.testing.assert_allclose(read(encode(picture)), read(photo()), atol=0.05)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_an_animation_shows_the_frame_it_is_at(format_: str):
    """The first of it is what its file shows."""
    frames = [drawn().rotate(90 * turn) for turn in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format_, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    picture = Image.open(io.BytesIO(buffer.getvalue()))
    np.testing.assert_array_equal(read(encode(picture)), read(buffer.getvalue()))
    for frame in (0, 1, 2):
        picture.seek(frame)
        np.testing.assert_allclose(read(encode(picture)), as_it_stands(picture.convert("RGB")), atol=0.01)


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA"])
def test_modes_with_transparency_that_no_file_has(mode: str):
    """It is kept."""
    plain = coloured("RGBA")
    picture = plain.convert("LA").convert("La") if mode == "La" else plain.convert("RGBa")
    if mode == "PA":
        picture = plain.quantize(32).convert("PA")
    with Image.open(io.BytesIO(encode(picture))) as sent:
        assert sent.has_transparency_data
        assert sent.getchannel("A").getextrema()[0] < 100


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_16_bits_in_any_order(mode: str):
    """The same numbers."""
    values = np.array([[0, 1, 513], [4660, 65280, 65535]], np.uint16)
    data = values.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    with Image.open(io.BytesIO(encode(Image.frombytes(mode, (3, 2), data)))) as sent:
        np.testing.assert_array_equal(np.asarray(sent), values)


@pytest.mark.parametrize(
    ("picture", "words"), [(Image.new("LAB", (3, 4)), "mode LAB"), (Image.new("L", (0, 3)), "0×3")]
)
def test_what_no_file_holds_is_refused(picture: Image.Image, words: str):
    """By the client, with what it found."""
    with pytest.raises(ValueError, match=words):
        read_images(picture)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF"])
def test_a_damaged_file_is_the_servers_to_judge(format_: str):
    """Opened or not, the answer is the same sentence."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 90), np.uint8)).save(buffer, format_)
    damaged = buffer.getvalue()[: len(buffer.getvalue()) // 2]
    assert encode(Image.open(io.BytesIO(damaged))) == damaged


@pytest.mark.front("grpcio")
async def test_the_answer_of_a_server_is_the_same(server, tmp_path: Path):
    """Of either client, one picture or several, by call or in a stream."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo(8))
    with DigitsClient(server.address) as client:
        wanted = client.classify(path).scores.tolist()
        assert client.classify(Image.open(path)).scores.tolist() == wanted
        several = [Image.open(path), Image.open(path)]
        assert client.classify(several).scores.tolist() == [wanted, wanted]
        assert [each.scores.tolist() for each in client.classify_stream(several)] == [wanted, wanted]
    async with AsyncDigitsClient(server.address) as client:
        assert (await client.classify(Image.open(path))).scores.tolist() == wanted
