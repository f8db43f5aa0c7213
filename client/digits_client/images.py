"""The images of a caller -> the fields of a ClassifyRequest."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray

from digits_client.answers.models import ListedVersion
from digits_client.pictures import Picture, encode

ImageFile = str | Path | bytes | bytearray | memoryview | Picture
"""The path or the bytes of an image file, or a PIL image."""
ImageList = list[Any] | tuple[Any, ...]
"""A list of images: arrays only, or no arrays."""
Images = NDArray[Any] | ImageFile | ImageList


@dataclass(frozen=True, slots=True)
class Batch:
    """The images of one call, not yet checked against a model."""

    arrays: tuple[NDArray[Any], ...]
    encoded: tuple[bytes, ...]
    single: bool
    """Whether the caller gave one item rather than a list; the item may be an array of several images."""

    def fill(self, request: pb.ClassifyRequest, version: ListedVersion | None) -> bool:
        """Put the images into the request; returns whether they are a single image with a single result.

        Arrays need the `version` that serves the request. Raises `ValueError` or `TypeError` for an array that does
        not fit it.
        """
        if self.encoded:
            request.encoded_images.extend(self.encoded)
            return self.single
        assert version is not None
        rows = [as_pixels(array, version) for array in self.arrays]
        request.pixels = b"".join([each.tobytes() for each in rows])
        return self.single and rows[0].ndim == 1

    def count(self, version: ListedVersion | None) -> int:
        """The number of images; valid after `fill`."""
        if version is None:
            return len(self.encoded)
        return sum(array.size for array in self.arrays) // version.features


def read_images(images: Images) -> Batch:
    """Read image files and encode PIL images.

    Raises `TypeError` for an item that is not an image and for a mix of arrays and files, `ValueError` for an empty
    list, `OSError` for a file that cannot be read.
    """
    single = not isinstance(images, list | tuple)
    items: Any = (images,) if single else images
    if len(items) == 0:
        raise ValueError("the list of images is empty, expected at least one image")
    arrays, encoded = [], []
    for item in items:
        if isinstance(item, bytes | bytearray | memoryview):
            encoded.append(bytes(item))
        elif isinstance(item, str | Path):
            encoded.append(Path(item).read_bytes())
        elif isinstance(item, Picture):
            encoded.append(encode(item))
        elif isinstance(item, np.ma.MaskedArray):
            raise TypeError("the array is masked, expected an array without a mask: use .filled(0)")
        elif isinstance(item, np.ndarray) or hasattr(item, "__array__"):
            arrays.append(np.asarray(item))
        else:
            raise TypeError(
                f"an image is of type {type(item).__name__}, expected a NumPy array, a path, bytes or a PIL image"
            )
    if arrays and encoded:
        raise TypeError("the list mixes arrays and image files, expected only arrays or only image files")
    return Batch(tuple(arrays), tuple(encoded), single)


def read_picture(picture: ImageFile) -> bytes:
    """The bytes of one image file. Raises `TypeError` for anything else, `OSError` for one that cannot be read."""
    if isinstance(picture, list | tuple):
        raise TypeError(f"the picture is a {type(picture).__name__}, expected a path, bytes or a PIL image")
    batch = read_images(picture)
    if batch.arrays:
        raise TypeError("the picture is an array, expected a path, bytes or a PIL image: use PIL.Image.fromarray")
    return batch.encoded[0]


async def read_images_in_thread(images: Images) -> Batch:
    """As `read_images`, in a thread if it reads files or encodes images."""
    items = images if isinstance(images, list | tuple) else (images,)
    if all(isinstance(item, np.ndarray | bytes) for item in items):
        return read_images(images)
    return await asyncio.to_thread(read_images, images)


def as_pixels(array: NDArray[Any], version: ListedVersion) -> NDArray[np.uint8]:
    """Raw pixels as uint8 [rows*cols] for one image, [N, rows*cols] for several.

    Accepts [rows, cols], [rows*cols], [N, rows, cols] and [N, rows*cols] of whole numbers in 0..pixel_max, or of bools
    for no ink and full ink. Raises `ValueError` or `TypeError` for any other array.
    """
    rows, cols, top = version.rows, version.cols, version.pixel_max
    if rows * cols == 0:
        raise ValueError(f"version {version.version} has no readable card ({version.reason}), so no image fits it")
    if array.shape in ((rows, cols), (rows * cols,)):
        shape: tuple[int, ...] = (rows * cols,)
    elif (array.ndim == 3 and array.shape[1:] == (rows, cols)) or (array.ndim == 2 and array.shape[1] == rows * cols):
        shape = (len(array), rows * cols)
    else:
        raise ValueError(
            f"the array has shape {list(array.shape)}, expected [{rows}, {cols}] or [{rows * cols}] for one image, "
            f"[N, {rows}, {cols}] or [N, {rows * cols}] for several"
        )
    if array.size == 0:
        raise ValueError("the array holds no images, expected at least one")
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array * np.uint8(top)).reshape(shape)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"the array holds {array.dtype}, expected whole numbers in 0..{top}")
    if array.dtype != np.uint8 or top < 255:
        _check_values(array, top)
    return np.ascontiguousarray(array, np.uint8).reshape(shape)


def _check_values(array: NDArray[Any], top: int) -> None:
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        if not np.isfinite(low) or not np.isfinite(high):
            raise ValueError(f"the array holds NaN or infinity, expected whole numbers in 0..{top}")
        if not np.array_equal(array, np.rint(array)):
            hint = f": multiply by {top} and round" if low >= 0 and high <= 1 else ""
            raise ValueError(
                f"the array holds fractions between {low:g} and {high:g}, expected whole numbers in 0..{top}{hint}"
            )
    if low < 0 or high > top:
        raise ValueError(f"the array's values lie in {low:g}..{high:g}, expected whole numbers in 0..{top}")
