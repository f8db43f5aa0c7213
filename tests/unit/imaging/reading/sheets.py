"""Sheets that are drawn for tests: rings and bars, which look like 0 and 1, on plain or ruled paper."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float32]


def sheet(height: int, width: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A white sheet, and what draws on it."""
    image = Image.new("L", (width, height), 250)
    return image, ImageDraw.Draw(image)


def ring(draw: ImageDraw.ImageDraw, left: int, top: int, height: int = 60) -> None:
    """A zero, two thirds as wide as high."""
    draw.ellipse([left, top, left + height * 2 // 3, top + height], outline=20, width=max(3, height // 10))


def bar(draw: ImageDraw.ImageDraw, left: int, top: int, height: int = 60) -> None:
    """A one."""
    draw.rectangle([left, top, left + max(3, height // 10), top + height], fill=20)


def grey(image: Image.Image) -> Floats:
    """Its grey values, 0 black to 1 white."""
    return np.asarray(image, np.float32) / np.float32(255)
