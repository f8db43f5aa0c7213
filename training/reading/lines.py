"""Lines of digits to learn dividing from: pasted side by side, apart, touching and overlapping, on paper."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.dataset import Part

Floats = NDArray[np.float32]

_MOST = 8  # digits of a line
_HEIGHTS = 28.0, 90.0  # pixels
_FACED = 0.3  # pixels from this shade on are ink of a digit
# In parts of the line's height: how much digits differ in height and stand up or down, how wide they are at most, and
# how far apart they stand.
_SIZES, _SHIFT, _WIDEST, _GAPS = (0.85, 1.15), 0.08, 1.6, (0.05, 0.5)
_OVERLAP = 0.17  # of the narrower digit: how far two of them overlap at most
_LEAN = 0.04  # how steeply lines rise or fall
_TURNED, _TURN, _SLANT = 0.6, 9, 0.18  # so many digits are turned, by so many degrees at most, and slanted
_TOUCHING, _MIXED = 0.6, 0.3  # so many lines have digits that touch; in so many half of the pairs touch


@dataclass(frozen=True, slots=True)
class PastedLine:
    """One line of digits on paper."""

    grey: Floats
    """float32 [height, width], 0 black to 1 white."""
    labels: tuple[int, ...]
    """From the left."""


def paste_line(sources: Mapping[str, Part], side: int, random: np.random.Generator) -> PastedLine:
    """A line of one to eight digits, half of them of the first of `sources`, on plain, ruled or squared paper.

    Images of the sources have `side`×`side` pixels, 0..255, ink bright.
    """
    height = random.uniform(*_HEIGHTS)
    touching, mixed = random.random() < _TOUCHING, random.random() < _MIXED
    count = int(random.integers(1, _MOST + 1))
    ink = np.zeros((round(2 * height), round((count + 1) * _WIDEST * 1.3 * height)), np.float32)
    lean = random.uniform(-_LEAN, _LEAN)
    left, before = round(0.4 * height), 0
    labels: list[int] = []
    for _ in range(count):
        digit, label = _digit(sources, side, random)
        rows = max(8, round(height * random.uniform(*_SIZES)))
        cols = min(max(3, round(digit.shape[1] * rows / digit.shape[0])), round(_WIDEST * rows))
        sized = np.asarray(Image.fromarray(digit).resize((cols, rows), Image.Resampling.BICUBIC)).clip(0, 1)
        if labels:
            touches = random.random() < 0.5 if mixed else touching
            gap, overlap = random.uniform(*_GAPS) * height, random.uniform(0, _OVERLAP) * min(cols, before)
            left += round(gap) if touches is False else -round(overlap) - 1
        top = max(0, round(0.5 * height + random.uniform(-_SHIFT, _SHIFT) * height + lean * left))
        place = ink[top : top + rows, left : left + cols]
        np.maximum(place, sized[: place.shape[0], : place.shape[1]], out=place)
        left, before = left + cols, cols
        labels.append(label)
    ink = ink[:, : left + round(0.4 * height)]
    grey = _paper(ink.shape, height, random) * (1 - ink * random.uniform(0.7, 0.95))
    return PastedLine(grey.clip(0, 1).astype(np.float32), tuple(labels))


def _digit(sources: Mapping[str, Part], side: int, random: np.random.Generator) -> tuple[Floats, int]:
    """One digit, cropped to its ink, and its label."""
    names = list(sources)
    name = names[0] if len(names) == 1 or random.random() < 0.5 else names[int(random.integers(1, len(names)))]
    part = sources[name]
    row = int(random.integers(len(part)))
    digit = part.pixels[row].reshape(side, side).astype(np.uint8)
    if random.random() < _TURNED:
        digit = _turned(digit, random)
    found = digit > _FACED * 255
    rows, cols = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    cropped = digit[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return cropped.astype(np.float32) / 255, int(part.labels[row])


def _turned(digit: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """The digit three times as large, turned and slanted about its middle."""
    large = Image.fromarray(digit).resize((3 * digit.shape[1], 3 * digit.shape[0]), Image.Resampling.BICUBIC)
    angle, slant = np.deg2rad(random.uniform(-_TURN, _TURN)), random.uniform(-_SLANT, _SLANT)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [[1, slant], [0, 1]]
    middle = np.array(large.size) / 2
    (a, b), (d, e) = turn.tolist()
    c, f = (middle - turn @ middle).tolist()
    affine = large.transform(large.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC)
    return np.asarray(affine)


def _paper(shape: tuple[int, int], height: float, random: np.random.Generator) -> Floats:
    """Paper of a shade: half of it plain, the rest ruled or squared."""
    paper = (random.uniform(0.85, 1) + random.normal(0, 0.01, shape)).astype(np.float32)
    kind = random.choice(["plain", "plain", "ruled", "squared"])
    if kind == "plain":
        return paper
    step = round(height * (random.uniform(0.45, 0.8) if kind == "squared" else random.uniform(1.2, 1.8)))
    thick, shade = max(1, int(height / 40)), np.float32(random.uniform(0.6, 0.8))
    for axis in (0, 1) if kind == "squared" else (0,):
        for place in range(int(random.integers(1, step)), shape[axis], step):
            line = paper[place : place + thick] if axis == 0 else paper[:, place : place + thick]
            np.minimum(line, shade, out=line)
    return paper
