"""Raw pixels, checked before a model sees them: what is an error, and what only looks wrong."""

from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card


class WarningCode(StrEnum):
    """What looks wrong with an image that is scored all the same; the codes are stable."""

    BLANK = "blank"
    SCALED = "scaled"
    INVERTED = "inverted"
    LINES_REMOVED = "lines_removed"
    SEVERAL_MARKS = "several_marks"
    TOUCHES_BORDER = "touches_border"
    LOW_CONTRAST = "low_contrast"
    TURNED = "turned"


class ImageWarning(NamedTuple):
    """What looks wrong with one image."""

    code: WarningCode
    sentence: str


class Pixels(Protocol):
    """What the pixels of a model look like; a card says it, among others."""

    @property
    def cols(self) -> int:
        """Width of an image in pixels."""

    @property
    def features(self) -> int:
        """Pixels of an image: rows * cols."""

    @property
    def pixel_max(self) -> int:
        """Pixels lie in 0..pixel_max, ink bright."""


def describe(code: WarningCode, pixel_max: int) -> ImageWarning:
    """The warning of that code for a model with pixels in 0..pixel_max."""
    sentences = {
        WarningCode.BLANK: "the image is blank: no ink was found",
        WarningCode.SCALED: f"no pixel is above 1: the pixels look scaled to 0..1, expected 0..{pixel_max}",
        WarningCode.INVERTED: "the corners are bright: the image looks inverted, expected bright ink on a dark ground",
        WarningCode.LINES_REMOVED: "lines across the picture were taken off before it was classified",
        WarningCode.SEVERAL_MARKS: "the picture shows several marks side by side: it was classified as one digit",
        WarningCode.TOUCHES_BORDER: "the border cuts through the ink: part of the digit may be missing",
        WarningCode.LOW_CONTRAST: "the ink hardly differs from its ground",
        WarningCode.TURNED: "the picture was turned until its digits stood upright",
    }
    return ImageWarning(code, sentences[code])


class PixelError(ValueError):
    """A pixel is above the card's range; the message names the image, the value and the range."""


def check_range(pixels: NDArray[np.uint8], card: Card) -> None:
    """Raise `PixelError` for a pixel of uint8 [N, rows*cols] above `card.pixel_max`; free where that is 255."""
    if card.pixel_max < 255 and int(pixels.max(initial=0)) > card.pixel_max:
        row = int(np.argmax(pixels.max(axis=1) > card.pixel_max))
        raise PixelError(
            f"image {row} has a pixel of {int(pixels[row].max())}, expected 0..{card.pixel_max} for model {card.name}"
        )


def find_warnings(pixels: NDArray[np.uint8], card: Pixels) -> list[tuple[int, ImageWarning]]:
    """What looks wrong with uint8 [N, rows*cols] in the card's range, as (row, warning); mostly nothing.

    A blank image, values that look scaled to 0..1, and ink that looks dark on a bright ground: at least
    three corners brighter than half the range. Costs a few microseconds a batch and tens of nanoseconds a row.
    """
    corners = (0, card.cols - 1, card.features - card.cols, card.features - 1)
    half = card.pixel_max // 2
    if len(pixels) == 1:  # bytes: arrays of one cost more than the work
        raw = pixels.tobytes()
        bright = sum([raw[corner] > half for corner in corners])
        if bright < 3 and raw.lstrip(b"\0\1"):
            return []
        return [(0, warning) for warning in _warnings(max(raw), bright, card)]
    peaks = pixels.max(axis=1)
    brights = (pixels[:, corners] > half).sum(axis=1)
    suspects = np.flatnonzero((peaks <= 1) | (brights >= 3))
    return [
        (row, warning) for row in suspects.tolist() for warning in _warnings(int(peaks[row]), int(brights[row]), card)
    ]


def _warnings(peak: int, bright: int, card: Pixels) -> list[ImageWarning]:
    """What looks wrong with an image of this greatest pixel and this many bright corners."""
    if peak == 0:
        return [describe(WarningCode.BLANK, card.pixel_max)]
    if peak == 1 and card.pixel_max > 1:
        return [describe(WarningCode.SCALED, card.pixel_max)]
    if bright >= 3:
        return [describe(WarningCode.INVERTED, card.pixel_max)]
    return []
