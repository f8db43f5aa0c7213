"""What the client takes for an image, and what it says of anything else."""

import io

import numpy as np
import pytest
from digits_client.answers.models import ListedVersion
from digits_client.images import as_pixels, read_images
from PIL import Image


def version(rows: int = 28, cols: int = 28, pixel_max: int = 255) -> ListedVersion:
    return ListedVersion("1", "ready", "", rows, cols, pixel_max, ("0", "1"))


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((28, 28), (784,)), ((784,), (784,)), ((5, 28, 28), (5, 784)), ((5, 784), (5, 784)), ((1, 28, 28), (1, 784))],
)
def test_shapes_of_one_and_of_several(shape: tuple[int, ...], wanted: tuple[int, ...]):
    """One image keeps its one dimension, several keep their number."""
    assert as_pixels(np.zeros(shape, np.uint8), version()).shape == wanted


@pytest.mark.parametrize(
    "shape", [(56, 56), (14, 56), (28, 28, 1), (3, 28, 28, 1), (), (783,), (4, 783), (28, 27), (3136,), (2, 2, 784)]
)
def test_other_shapes_are_refused(shape: tuple[int, ...]):
    """Nothing is reshaped by guess: 56×56 is not four images. The sentence says what fits."""
    with pytest.raises(ValueError, match=r"expected \[28, 28\] or \[784\] for one image"):
        as_pixels(np.zeros(shape, np.uint8), version())


def test_rows_stay_rows():
    """An array that is not contiguous is read by rows all the same."""
    image = np.arange(12, dtype=np.uint8).reshape(3, 4).T
    assert as_pixels(image, version(4, 3)).tolist() == image.ravel().tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int8, np.uint16, np.float32, np.float64, np.float16])
def test_whole_numbers_of_any_type(dtype: type):
    """Whole numbers in range become uint8, floats among them."""
    image = np.arange(12).reshape(4, 3).astype(dtype)
    pixels = as_pixels(image, version(4, 3, 16))
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == list(range(12))


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (np.full(12, 17, np.uint8), ValueError, r"17\.\.17, expected whole numbers in 0\.\.16"),
        (np.full(12, -1), ValueError, r"-1\.\.-1, expected whole numbers in 0\.\.16"),
        (np.full(12, 0.5), ValueError, "multiply by 16 and round"),
        (np.full(12, 1.5), ValueError, r"fractions between 1\.5 and 1\.5"),
        (np.full(12, np.nan), ValueError, "NaN"),
        (np.full(12, np.inf), ValueError, "infinity"),
        (np.full(12, "a"), TypeError, "expected whole numbers"),
        (np.ones(12, complex), TypeError, "complex"),
        (np.array([None] * 12), TypeError, "object"),
        (np.zeros((0, 12)), ValueError, "at least one"),
    ],
)
def test_other_values_are_refused(values: np.ndarray, kind: type[Exception], words: str):
    """What is no whole number of the range is refused; scaled floats are told how to be unscaled."""
    with pytest.raises(kind, match=words):
        as_pixels(values, version(4, 3, 16))


@pytest.mark.parametrize("shape", [(3, 4), (12,), (2, 3, 4), (2, 12)])
def test_bools_are_no_ink_and_full_ink(shape: tuple[int, ...]):
    """0 and the top of the model's range, not 0 and 1."""
    ink = np.arange(np.prod(shape)).reshape(shape) % 3 == 0
    assert (as_pixels(ink, version(3, 4, 16)).reshape(shape) == np.where(ink, 16, 0)).all()
    assert as_pixels(ink, version(3, 4, 16)).dtype == np.uint8


def test_a_version_without_card():
    """A model whose card could not be read has no shape, so arrays cannot be sent to it."""
    with pytest.raises(ValueError, match="no readable card"):
        as_pixels(np.zeros(4), ListedVersion("3", "failed", "broken", 0, 0, 0, ()))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "F", "I", "I;16", "YCbCr", "HSV"])
def test_pil_images_of_any_mode(mode: str):
    """A PIL image travels as a file that can hold its mode."""
    batch = read_images(Image.new(mode, (3, 4)))
    assert batch.single
    assert len(batch.encoded) == 1


def test_files_and_bytes(tmp_path):
    """Paths are read, as text and as Path; bytes of any kind pass as they are."""
    path = tmp_path / "seven.png"
    path.write_bytes(b"image")
    for image in (path, str(path), b"image", bytearray(b"image"), memoryview(b"image")):
        assert read_images(image).encoded == (b"image",)
        assert read_images([image, image]).encoded == (b"image", b"image")


@pytest.mark.parametrize("images", [3, None, object(), [1, 2, 3], {"a": 1}, [None]])
def test_what_is_no_image(images: object):
    """Numbers and other objects are refused with what an image may be."""
    with pytest.raises(TypeError, match="expected a NumPy array, a path, bytes or a PIL image"):
        read_images(images)


@pytest.mark.parametrize("images", [[], ()])
def test_no_images(images: object):
    """An empty list is refused."""
    with pytest.raises(ValueError, match="at least one"):
        read_images(images)


def test_arrays_and_files_do_not_mix():
    """One call carries either raw pixels or image files."""
    with pytest.raises(TypeError, match="the list mixes arrays and image files"):
        read_images([np.zeros(4), b"image"])


def test_a_file_that_is_not_there():
    """A missing file is the operating system's error, with its name."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_images("nowhere.png")


def test_a_masked_array():
    """A mask would be lost without a word, so the array is refused."""
    masked = np.ma.masked_array(np.ones((4, 3)), np.eye(4, 3))
    for images in (masked, [masked], [np.ones((4, 3)), masked]):
        with pytest.raises(TypeError, match="the array is masked, expected an array without a mask"):
            read_images(images)


@pytest.mark.parametrize(
    ("mode", "values"),
    [("F", [0, 0.5, 1]), ("F", [0, 127.5, 255]), ("I", [0, 32767.5, 65535]), ("I", [-100, 27.5, 155])],
)
def test_pil_images_of_numbers_without_a_range(mode: str, values: list[float]):
    """Whole numbers of 32 bits and floats travel as 16-bit grey, over the narrowest usual range."""
    array = np.array([values], np.float32 if mode == "F" else np.int32)
    with Image.open(io.BytesIO(read_images(Image.fromarray(array)).encoded[0])) as sent:
        assert sent.format == "PNG"
        assert np.asarray(sent).ravel() == pytest.approx([0, 32767.5, 65535], abs=300)


def test_a_pil_image_of_what_is_no_number():
    """NaN and infinity, and floats that overflow, are black; they never reach the server."""
    array = np.array([[np.nan, np.inf, -np.inf, 3e38, -3e38, 1]], np.float32)
    with Image.open(io.BytesIO(read_images(Image.fromarray(array)).encoded[0])) as sent:
        assert np.asarray(sent).max() == 65535
