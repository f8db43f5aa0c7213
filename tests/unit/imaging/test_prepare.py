"""Pictures of real digits, as people send them, are prepared like the data the models were trained on."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageFilter

from artifact.card import CARD_KEY, Card
from imaging.prepare import prepare
from tests.support.cards import card

LIMIT = 25_000_000
COUNT = 250


def png(values: np.ndarray, mode: str | None = None, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(buffer, file_format, **options)
    return buffer.getvalue()


def digit(side: int = 140, *, width: int = 4) -> np.ndarray:
    """A 7 drawn with straight strokes: bool [side, side]."""
    ink = np.zeros((side, side), bool)
    stroke = max(1, side * width // 32)
    ink[side // 8 : side // 8 + stroke, side // 4 : 3 * side // 4] = True
    for row in range(side // 8, 7 * side // 8):
        col = 3 * side // 4 - (row - side // 8) * side // 3 // (3 * side // 4)
        ink[row, col - stroke : col] = True
    return ink


class Model:
    """A committed model in onnxruntime."""

    def __init__(self, path: Path) -> None:
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.card = Card.from_json(self._session.get_modelmeta().custom_metadata_map[CARD_KEY])

    def labels(self, pixels: np.ndarray) -> np.ndarray:
        return self._session.run(["label"], {"pixels": pixels})[0]

    def labels_of_files(self, files: list[bytes]) -> np.ndarray:
        return self.labels(np.stack([prepare(file, self.card, max_image_pixels=LIMIT).pixels for file in files]))


MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture(scope="module")
def mnist_model() -> Model:
    return Model(MODELS / "mnist-16x16" / "2" / "model.onnx")


def enlarged(pixels: np.ndarray, side: int = 140) -> np.ndarray:
    """One MNIST image as ink of 0..1 at side×side."""
    image = Image.fromarray(pixels.reshape(28, 28)).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image) / 255


def on_canvas(ink: np.ndarray, rng: np.random.Generator, *, ground: float = 255, pen: float = 0) -> np.ndarray:
    """Ink somewhere on a canvas of 300×200, uint8."""
    canvas = np.full((200, 300), float(ground))
    top, left = rng.integers(0, 200 - len(ink) + 1), rng.integers(0, 300 - len(ink) + 1)
    canvas[top : top + len(ink), left : left + len(ink)] += (pen - ground) * ink
    return canvas.round().astype(np.uint8)


def as_png(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    return png(on_canvas(enlarged(pixels), rng))


def as_jpeg(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    return png(on_canvas(enlarged(pixels), rng, ground=190, pen=110), file_format="JPEG", quality=75)


def as_small_png(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    return png(pixels.reshape(28, 28))


def as_photo(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    """Dark ink on paper that is lit from one side, with noise."""
    ink = on_canvas(enlarged(pixels), rng, ground=0, pen=255) / 255
    row, col = np.mgrid[-1:1:200j, -1:1:300j]
    angle = rng.uniform(0, 2 * np.pi)
    light = 0.6 + 0.25 * (np.cos(angle) * col + np.sin(angle) * row)
    grey = light * (1 - 0.7 * ink) + rng.normal(0, 0.02, ink.shape)
    return png((grey.clip(0, 1) * 255).astype(np.uint8), file_format="JPEG", quality=85)


def as_specked_png(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    canvas = on_canvas(enlarged(pixels), rng)
    for row, col in rng.integers(0, 198, (3, 2)):
        canvas[row : row + 2, col : col + 2] = 0
    return png(canvas)


@pytest.mark.parametrize("drawn", [as_png, as_jpeg, as_small_png, as_photo, as_specked_png])
def test_pictures_of_digits_are_classified_about_as_well_as_raw_pixels(
    drawn: Callable[[np.ndarray, np.random.Generator], bytes],
    mnist_model: Model,
    mnist_test: tuple[np.ndarray, np.ndarray],
):
    """Real test digits enlarged, moved, inverted, compressed: at most 1.5 points of accuracy are lost."""
    pixels, labels = mnist_test[0][:COUNT], mnist_test[1][:COUNT]
    rng = np.random.default_rng(0)
    raw = np.mean(mnist_model.labels(pixels) == labels)
    found = np.mean(mnist_model.labels_of_files([drawn(each, rng) for each in pixels]) == labels)
    assert found >= raw - 0.015


def test_hairlines_become_strokes(mnist_model: Model, mnist_test: tuple[np.ndarray, np.ndarray]):
    """Digits drawn with a pen far too thin for the box are still recognised."""
    pixels, labels = mnist_test[0][:COUNT], mnist_test[1][:COUNT]
    files = []
    for each in pixels:
        image = Image.fromarray(np.where(enlarged(each, 280) > 0.5, 255, 0).astype(np.uint8))
        for _ in range(3):
            image = image.filter(ImageFilter.MinFilter(3))
        files.append(png(255 - np.asarray(image)))
    assert np.mean(mnist_model.labels_of_files(files) == labels) >= 0.93


def test_blocks_read_digits_of_another_source(mnist_test: tuple[np.ndarray, np.ndarray]):
    """The 8×8 model, which never saw MNIST, reads most of it once slant and stroke are made those of its data."""
    model = Model(MODELS / "digits-8x8" / "1" / "model.onnx")
    rng = np.random.default_rng(0)
    files = [as_png(each, rng) for each in mnist_test[0][:COUNT]]
    assert np.mean(model.labels_of_files(files) == mnist_test[1][:COUNT]) >= 0.75


def test_a_prepared_image_comes_back_nearly_as_it_was(mnist_test: tuple[np.ndarray, np.ndarray]):
    """A PNG of MNIST's own 28×28 pixels is already fitted and centred, so preparing it changes little."""
    changes = []
    for each in mnist_test[0][:200]:
        pixels = prepare(png(each.reshape(28, 28)), card(), max_image_pixels=LIMIT).pixels
        changes.append(np.abs(pixels.astype(int) - each).mean())
    assert np.median(changes) < 2
    assert np.mean(np.array(changes) < 5) > 0.9


def test_a_picture_of_counts_is_taken_as_it_is():
    """An 8×8 picture for a `blocks` model holds counts already; only its contrast is stretched."""
    counts = np.zeros((8, 8), np.uint8)
    counts[1:7, 3] = 16
    counts[2:5, 4] = 8
    pixels = prepare(png(counts * 15), card(8, 8, 16, "blocks"), max_image_pixels=LIMIT).pixels
    assert np.array_equal(pixels.reshape(8, 8), counts)


def test_mass_fits_the_box_and_centres_the_mass():
    """The longer side of the ink is 20 of 28 pixels, and the centre of mass is on pixel 14, 14."""
    ink = np.zeros((200, 300), np.uint8)
    ink[20:180, 10:40] = 255
    ink[20:50, 10:100] = 255
    pixels = prepare(png(ink), card(), max_image_pixels=LIMIT).pixels.reshape(28, 28)
    assert np.ptp(np.flatnonzero(pixels.any(axis=1))) + 1 == 20
    for axis in (0, 1):
        assert pixels.sum(axis=axis) @ np.arange(28) / pixels.sum() == pytest.approx(14, abs=0.5)
    assert pixels.max() == 255


def test_blocks_fill_the_height_and_count_to_pixel_max():
    """The digit spans all rows, keeps to the middle columns, and full blocks hold pixel_max."""
    pixels = prepare(png(digit(width=6)), card(8, 8, 16, "blocks"), max_image_pixels=LIMIT).pixels.reshape(8, 8)
    assert pixels.any(axis=1).all()
    assert not pixels[:, [0, 7]].any()
    assert pixels.max() == 16


def test_blocks_take_the_slant_off():
    """A slanted stroke becomes an upright one, as in NIST's data; `mass` keeps it slanted, as in MNIST."""
    row, col = np.mgrid[:200, :200]
    stroke = np.where((np.abs(col - 150 + row // 2) < 12) & (row > 20) & (row < 180), 0, 255).astype(np.uint8)

    def lean(card: Card) -> float:
        pixels = prepare(png(stroke), card, max_image_pixels=LIMIT).pixels.reshape(card.rows, card.cols).astype(float)
        ink = pixels[pixels.any(axis=1)]
        middles = ink @ np.arange(card.cols) / ink.sum(axis=1)
        return float(abs(middles[-2] - middles[1]) / len(ink))

    assert lean(card(8, 8, 16, "blocks")) < 0.1
    assert lean(card()) > 0.3


@pytest.mark.parametrize("preparation", ["mass", "blocks"])
@pytest.mark.parametrize(("rows", "cols"), [(28, 28), (8, 8), (12, 9), (3, 200), (1, 1)])
@pytest.mark.parametrize("pixel_max", [1, 16, 255])
def test_any_model_shape(rows: int, cols: int, pixel_max: int, preparation: str):
    """Pixels have the shape and the range of the model, whatever these are; none is above it."""
    prepared = prepare(png(digit()), card(rows, cols, pixel_max, preparation), max_image_pixels=LIMIT)
    assert prepared.pixels.shape == (rows * cols,)
    assert prepared.pixels.dtype == np.uint8
    assert prepared.pixels.max() <= pixel_max
    assert prepared.pixels.any() or rows * cols == 1
    assert prepared.warnings == ()


@pytest.mark.parametrize("preparation", ["mass", "blocks"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 5000), (5000, 1), (2, 2), (31, 33), (3, 3)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_shade_is_a_blank_image(shape: tuple[int, int], value: int, preparation: str):
    """All white, all black and all grey have no ink, whatever the size: a warning and empty pixels."""
    prepared = prepare(png(np.full(shape, value, np.uint8)), card(preparation=preparation), max_image_pixels=LIMIT)
    assert [warning.code for warning in prepared.warnings] == ["blank"]
    assert not prepared.pixels.any()


@pytest.mark.parametrize("preparation", ["mass", "blocks"])
@pytest.mark.parametrize("shape", [(1, 2), (1, 5000), (5000, 1), (2, 2), (31, 33)])
def test_extreme_shapes_with_ink(shape: tuple[int, int], preparation: str):
    """The longest, the thinnest and the smallest pictures give pixels, not an error."""
    values = np.full(shape, 255, np.uint8)
    values.flat[values.size // 2 :: 7] = 0
    prepared = prepare(png(values), card(preparation=preparation), max_image_pixels=LIMIT)
    assert prepared.pixels.any()


def same(first: bytes, second: bytes) -> float:
    """Mean absolute difference of what the two files become, in pixel values."""
    pair = [prepare(file, card(), max_image_pixels=LIMIT).pixels.astype(int) for file in (first, second)]
    return float(np.abs(pair[0] - pair[1]).mean())


PLAIN = png(np.where(digit(), 0, 255).astype(np.uint8))


def test_polarity_does_not_matter():
    """White ink on black, black on white, and grey on lighter grey become the same pixels."""
    assert same(PLAIN, png(np.where(digit(), 255, 0).astype(np.uint8))) == 0
    assert same(PLAIN, png(np.where(digit(), 90, 160).astype(np.uint8))) == 0


@pytest.mark.parametrize(
    "form",
    [
        "1-PNG",
        "P-PNG",
        "P-GIF",
        "RGB-BMP",
        "RGB-JPEG",
        "YCbCr-JPEG",
        "CMYK-JPEG",
        "LA-PNG",
        "RGBA-WEBP",
        "I;16-PNG",
    ],
)
def test_every_mode_and_format_gives_the_same(form: str):
    """The same drawing in another colour mode or file format becomes the same pixels, but for compression."""
    mode, file_format = form.split("-")
    shades = np.where(digit(), 0, 255)
    wide = mode == "I;16"
    file = png(shades.astype(np.uint16) * 257) if wide else png(shades.astype(np.uint8), mode, file_format)
    assert same(PLAIN, file) < 3


@pytest.mark.parametrize("shade", [0, 255, 200])
def test_transparent_drawing_pads(shade: int):
    """Ink on a transparent ground is found, black and white ink alike."""
    values = np.zeros((140, 140, 4), np.uint8)
    values[..., :3] = shade
    values[..., 3] = np.where(digit(), 255, 0)
    assert same(PLAIN, png(values)) < 1


def test_transparent_palette():
    """A palette with one transparent colour is laid on white like any other transparency."""
    image = Image.fromarray(np.where(digit(), 1, 0).astype(np.uint8))
    image.putpalette([9, 9, 9, 0, 0, 0])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=0)
    assert same(PLAIN, buffer.getvalue()) == 0


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, file_format: str):
    """A camera held sideways does not turn the digit; each of the eight orientations is undone."""
    turned = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.T,
        6: np.rot90,
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, 3),
    }[orientation](np.where(digit(), 0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert same(PLAIN, png(np.ascontiguousarray(turned), file_format=file_format, exif=exif)) < 3


def test_the_first_frame_of_an_animation():
    """Of an animated GIF the first frame counts."""
    frames = [Image.fromarray(np.where(ink, 0, 255).astype(np.uint8)) for ink in (digit(), ~digit().T)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert same(PLAIN, buffer.getvalue()) == 0
