"""Synthetic images without a digit, on which the detector of a model is fitted.

A few families of such images generalise to others: D. Hendrycks, M. Mazeika, T. Dietterich, "Deep
Anomaly Detection with Outlier Exposure", ICLR 2019.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imaging.prepare import Form, place
from training.data.letters import draw_printed

Points = NDArray[np.float64]
"""The corners of a stroke, [N, 2], across and down, in a square from 0 to 1."""

_CANVAS = 64  # pixels along each side of the canvas for strokes
_MARGIN = 8  # pixels between a stroke and the border

# Letters as strokes through corners. Letters that look like digits in handwriting (B, D, G, I, J, O, Q, S, Z; b, g, i,
# j, l, o, q, s, z) are left out.
_LETTERS: dict[str, Sequence[Sequence[tuple[float, float]]]] = {
    "A": [[(0, 1), (0.5, 0), (1, 1)], [(0.2, 0.6), (0.8, 0.6)]],
    "C": [[(1, 0.1), (0.4, 0), (0, 0.4), (0, 0.7), (0.4, 1), (1, 0.9)]],
    "E": [[(1, 0), (0, 0), (0, 1), (1, 1)], [(0, 0.5), (0.8, 0.5)]],
    "F": [[(1, 0), (0, 0), (0, 1)], [(0, 0.5), (0.8, 0.5)]],
    "H": [[(0, 0), (0, 1)], [(1, 0), (1, 1)], [(0, 0.5), (1, 0.5)]],
    "K": [[(0, 0), (0, 1)], [(0.9, 0), (0, 0.5), (1, 1)]],
    "L": [[(0, 0), (0, 1), (1, 1)]],
    "M": [[(0, 1), (0.1, 0), (0.5, 0.7), (0.9, 0), (1, 1)]],
    "N": [[(0, 1), (0, 0), (1, 1), (1, 0)]],
    "P": [[(0, 1), (0, 0), (0.9, 0.05), (0.9, 0.45), (0, 0.5)]],
    "R": [[(0, 1), (0, 0), (0.8, 0.05), (0.8, 0.45), (0, 0.5), (1, 1)]],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    "U": [[(0, 0), (0, 0.7), (0.5, 1), (1, 0.7), (1, 0)]],
    "V": [[(0, 0), (0.5, 1), (1, 0)]],
    "W": [[(0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0)]],
    "X": [[(0, 0), (1, 1)], [(1, 0), (0, 1)]],
    "Y": [[(0, 0), (0.5, 0.5), (1, 0)], [(0.5, 0.5), (0.5, 1)]],
    "a": [[(0.9, 0.2), (0.3, 0), (0, 0.5), (0.3, 1), (0.9, 0.6), (0.9, 0), (1, 1)]],
    "e": [[(0, 0.5), (1, 0.45), (0.5, 0), (0, 0.4), (0.2, 1), (1, 0.9)]],
    "h": [[(0, 0), (0, 1)], [(0, 0.6), (0.5, 0.4), (0.9, 0.6), (0.9, 1)]],
    "k": [[(0, 0), (0, 1)], [(0.8, 0.3), (0, 0.7), (0.9, 1)]],
    "m": [[(0, 0), (0, 1)], [(0, 0.2), (0.3, 0), (0.5, 0.3), (0.5, 1)], [(0.5, 0.2), (0.8, 0), (1, 0.3), (1, 1)]],
    "n": [[(0, 0), (0, 1)], [(0, 0.3), (0.6, 0), (1, 0.4), (1, 1)]],
    "r": [[(0, 0), (0, 1)], [(0, 0.4), (0.4, 0), (1, 0.1)]],
    "w": [[(0, 0), (0.2, 1), (0.5, 0.4), (0.8, 1), (1, 0)]],
}


def draw_outliers(family: str, count: int, form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """`count` images of one of `FAMILIES`, uint8 [count, rows*cols] in 0..pixel_max, prepared like digits by `form`."""
    draw = FAMILIES[family]
    return np.stack([draw(form, random) for _ in range(count)])


def _noise(form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """Uniform, sparse or blurred noise, or a single shade."""
    from scipy.ndimage import gaussian_filter

    shape = (form.rows, form.cols)
    kind = random.integers(4)
    if kind == 0:
        shades = random.random(shape) ** random.uniform(0.5, 3)
    elif kind == 1:
        shades = (random.random(shape) < random.uniform(0.02, 0.6)) * random.uniform(0.4, 1, shape)
    elif kind == 2:
        blurred = gaussian_filter(random.standard_normal(shape), random.uniform(0.6, 3) * form.rows / 28)
        shades = np.clip(blurred / np.abs(blurred).max() * random.uniform(1, 3) - random.uniform(-0.2, 0.6), 0, 1)
    else:
        shades = np.full(shape, random.choice([0.0, 1.0, random.random()])) + 0.02 * random.standard_normal(shape)
    return _pixels(np.clip(shades, 0, 1), form)


def _letter(form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """A handwritten letter: corners moved and rounded, slanted, rotated, narrow or wide."""
    strokes = _LETTERS[random.choice(list(_LETTERS))]
    slant, angle = random.uniform(-0.3, 0.3), np.deg2rad(random.uniform(-12, 12))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    size = np.array([random.uniform(0.5, 1), random.uniform(0.7, 1)])
    rounds = int(random.integers(0, 4))
    moved = [np.array(stroke) + random.normal(0, 0.06, (len(stroke), 2)) for stroke in strokes]
    bent = [(_round_corners(points, rounds) - 0.5) * size for points in moved]
    return _draw([(points + points[:, 1:] * (-slant, 0)) @ turn + 0.5 for points in bent], form, random)


def _scribble(form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """Lines without meaning: a tangle, a zigzag, a spiral, hatching, or several short lines."""
    kind = random.integers(5)
    if kind == 0:
        strokes = [_round_corners(random.random((random.integers(6, 16), 2)), 3)]
    elif kind == 1:
        corners = random.integers(6, 14)
        across = np.linspace(0, 1, corners) + random.normal(0, 0.03, corners)
        down = np.where(np.arange(corners) % 2, 0.15, 0.85) + random.normal(0, 0.1, corners)
        strokes = [_round_corners(_rotate(np.stack([across, down], axis=1), random), int(random.integers(0, 3)))]
    elif kind == 2:
        turns = np.linspace(0, random.uniform(2.2, 4.5) * 2 * math.pi, 120)
        radius = 0.5 * (turns / turns[-1]) ** random.uniform(0.6, 1.2)
        circle = np.stack([np.cos(turns), random.choice([-1, 1]) * np.sin(turns) * random.uniform(0.5, 1)], axis=1)
        strokes = [_rotate(0.5 + radius[:, None] * circle + random.normal(0, 0.008, (120, 2)), random)]
    elif kind == 3:
        lines = random.integers(3, 7)
        places = np.linspace(0, 1, lines)
        ends = random.normal(0, 0.05, (lines, 2, 2))
        strokes = [np.array([(place, 0), (place, 1)]) + end for place, end in zip(places, ends, strict=True)]
        if random.random() < 0.6:
            strokes += [stroke[:, ::-1] for stroke in strokes[: random.integers(2, lines + 1)]]
        strokes = _rotate_together(strokes, random)
    else:
        strokes = [
            _round_corners(random.random(2) + random.normal(0, 0.2, (random.integers(2, 5), 2)), 2)
            for _ in range(random.integers(4, 10))
        ]
    return _draw(strokes, form, random)


def _blot(form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """A dot, a blot or a bar: ink without a stroke's shape."""
    turns = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    radius = 0.5 * (1 + random.uniform(0, 0.25) * np.sin(turns * random.integers(2, 5) + random.uniform(0, 6)))
    outline = np.stack([np.cos(turns), np.sin(turns) * random.uniform(0.3, 1)], axis=1) * radius[:, None]
    corners = _rotate(0.5 + outline, random)
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    room = _CANVAS - 2 * _MARGIN
    ImageDraw.Draw(canvas).polygon([tuple(_MARGIN + room * corner) for corner in corners], fill=255)
    return _place(canvas, form)


FAMILIES: dict[str, Callable[[Form, np.random.Generator], NDArray[np.uint8]]] = {
    "noise": _noise,
    "letters": _letter,
    "scribbles": _scribble,
    "blots": _blot,
    "print": draw_printed,
}


def _rotate(points: Points, random: np.random.Generator) -> Points:
    return _rotate_together([points], random)[0]


def _rotate_together(strokes: Sequence[Points], random: np.random.Generator) -> list[Points]:
    """Rotate all strokes around the centre by one random angle."""
    angle = random.uniform(0, 2 * math.pi)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return [(points - 0.5) @ turn + 0.5 for points in strokes]


def _round_corners(points: Points, rounds: int) -> Points:
    """Cut the corners `rounds` times, after G. Chaikin, "An Algorithm for High-Speed Curve Generation", 1974."""
    for _ in range(rounds):
        before, after = points[:-1], points[1:]
        cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def _draw(strokes: Sequence[Points], form: Form, random: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the strokes with one pen; the image is prepared like a digit."""
    canvas = Image.new("L", (_CANVAS, _CANVAS))
    pen = ImageDraw.Draw(canvas)
    width = int(random.integers(3, 8))
    low = np.min([points.min(axis=0) for points in strokes], axis=0)
    high = np.max([points.max(axis=0) for points in strokes], axis=0)
    scale = (_CANVAS - 2 * _MARGIN) / max(float((high - low).max()), 1e-6)
    for points in strokes:
        places = [tuple(place) for place in _MARGIN + (points - low) * scale]
        pen.line(places, fill=255, width=width, joint="curve")
        for across, down in (places[0], places[-1]):
            pen.ellipse([across - width / 2, down - width / 2, across + width / 2, down + width / 2], fill=255)
    return _place(canvas, form)


def _place(canvas: Image.Image, form: Form) -> NDArray[np.uint8]:
    return place(np.asarray(canvas, np.float32) / np.float32(255), form)


def _pixels(shades: NDArray[np.float64], form: Form) -> NDArray[np.uint8]:
    return np.rint(shades * form.pixel_max).astype(np.uint8).ravel()
