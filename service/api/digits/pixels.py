"""The raw pixels of a request."""

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from engine.errors import InvalidInput
from imaging.pixels import PixelError, check_range

Rows = NDArray[np.uint8]
"""[N, rows*cols]"""


def read_pixels(data: bytes, card: Card, *, most: int, other: str) -> Rows:
    """The images in the field `pixels`, at most `most`; `other` is the field that may stand in its place.

    Raises `InvalidInput`.
    """
    if not data:
        raise InvalidInput("pixels", f"is empty, and so is {other}; expected {card.features} bytes an image")
    count, rest = divmod(len(data), card.features)
    if rest:
        raise InvalidInput(
            "pixels",
            f"has {len(data)} bytes, expected a multiple of {card.features} "
            f"({card.rows}×{card.cols}, one byte a pixel) for model {card.name}",
        )
    check_count("pixels", count, most)
    pixels = np.frombuffer(data, np.uint8).reshape(count, card.features)
    try:
        check_range(pixels, card)
    except PixelError as error:
        raise InvalidInput("pixels", str(error)) from None
    return pixels


def check_count(field: str, count: int, most: int) -> None:
    """Raises `InvalidInput` for more than `most` images in a call."""
    if count > most:
        raise InvalidInput(field, f"holds {count} images, expected at most {most} in one call")
