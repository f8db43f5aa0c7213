"""Pictures of several digits, drawn from images of single ones."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Ink = NDArray[np.uint8]
"""uint8 [rows, cols], ink bright."""


def in_line(images: Sequence[Ink], *, scale: int = 3, gap: int = 12) -> Ink:
    """MNIST's images, uint8 [784] each, cropped and side by side on an empty ground."""
    digits = [_cropped(image.reshape(28, 28)).repeat(scale, axis=0).repeat(scale, axis=1) for image in images]
    height = 32 * scale
    parts = [np.zeros((height, 10 * gap), np.uint8)]
    for digit in digits:
        top = (height - len(digit)) // 2
        parts += [np.pad(digit, [(top, height - len(digit) - top), (0, 0)]), np.zeros((height, gap), np.uint8)]
    return np.concatenate([*parts, np.zeros((height, 9 * gap), np.uint8)], axis=1)


def in_lines(lines: Sequence[Sequence[Ink]]) -> Ink:
    """Lines below each other, from the left."""
    drawn = [in_line(line) for line in lines]
    width = max(line.shape[1] for line in drawn)
    return np.concatenate([np.pad(line, [(0, 0), (0, width - line.shape[1])]) for line in drawn])


def in_grid(fields: Sequence[Sequence[Ink | None]], *, field: int = 64, rule: int = 2) -> Ink:
    """MNIST's images in the fields of a grid with rules; None leaves a field empty."""
    rows, cols = len(fields), len(fields[0])
    drawn = np.zeros((rows * field + rule + 40, cols * field + rule + 40), np.uint8)
    inner = drawn[20:-20, 20:-20]
    for row, images in enumerate(fields):
        for col, image in enumerate(images):
            if image is not None:
                digit = Image.fromarray(image.reshape(28, 28)).resize((field - 16, field - 16))
                top, left = row * field + 9, col * field + 9
                inner[top : top + field - 16, left : left + field - 16] = np.asarray(digit)
    for row in range(rows + 1):
        inner[row * field : row * field + rule] = 200
    for col in range(cols + 1):
        inner[:, col * field : col * field + rule] = 200
    return drawn


def zigzags(rows: int, cols: int) -> Ink:
    """So many connected scribbles, each with dozens of places to cut it at."""
    one = np.zeros((48, 124), np.uint8)
    for col in range(100):
        row = 6 + abs(col % 36 - 18) * 2
        one[row - 2 : row + 2, 12 + col] = 255
    return np.tile(one, (rows, cols))


def dots(rows: int, cols: int) -> Ink:
    """So many dots, none above or beside another by a whole number of steps."""
    random = np.random.default_rng(1)
    ink = np.zeros((15 * rows + 20, 15 * cols + 20), np.uint8)
    for row in range(rows):
        for col in range(cols):
            down, across = random.integers(0, 8, 2)
            ink[10 + 15 * row + down :, 10 + 15 * col + across :][:6, :4] = 255
    return ink


def file_of(ink: Ink) -> bytes:
    """A PNG with dark ink on white."""
    buffer = io.BytesIO()
    Image.fromarray(255 - ink).save(buffer, "PNG")
    return buffer.getvalue()


def _cropped(image: Ink) -> Ink:
    rows, cols = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
