"""Digits as they are cut out of lines of digits: with bits of their neighbours, and without bits of their own."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.ink import crop
from imaging.prepare import Form
from imaging.reading.segment import Candidate, TooManyMarksError, segment
from training.child import Child, compute
from training.data.augment import Distortion, augment
from training.data.dataset import Part, concatenate

Floats = NDArray[np.float32]

LONGEST = 8
"""Digits of a line at most."""
_HEIGHTS = 28.0, 90.0  # of the digits, in pixels
_UNEVEN, _MOVED = 0.15, 0.08  # of the height: by so much digits of a line differ in height, and in place
_LAP = 0.17  # of the narrower digit: how far two overlap at most
_GAPS = 0.05, 0.5  # of the height: how far digits stand apart
_TOUCHING = 0.6  # this part of the lines has digits that touch
_WIDEST = 1.6  # of the height
_BENT = Distortion(rotation=9, scale=0.1, shear=0.18, shift=0.0, alpha=0, sigma=6)
_PAPERS = "plain", "plain", "ruled", "squared"
# A candidate is a digit if it and the digit have more than the first share of the columns that either has. It is none
# if it has less of every digit than the second, or more of a second digit than the third. What is between is neither.
_IS, _LESS, _SECOND = 0.85, 0.7, 0.6
_NONE = -1
_CHUNK = 100  # lines that a process draws at a time


@dataclass(frozen=True, slots=True)
class Crops:
    """What the pictures of lines were cut into."""

    digits: Part
    """Candidates that are one digit, with its class."""
    others: NDArray[np.uint8]
    """uint8 [M, rows*cols], candidates that are none, or more than one."""


@dataclass(frozen=True, slots=True)
class LinePicture:
    """A picture of one line of digits."""

    grey: Floats
    """float32 [height, width], 0 black to 1 white."""
    labels: list[int]
    """The classes of its digits, from the left."""
    spans: list[tuple[int, int]]
    """The columns of each digit: from, to before."""


def draw_crops(digits: Part, lines: int, form: Form, seed: int) -> Crops:
    """The candidates of `lines` pictures of one line of `digits` each, as `Read` finds them; `form` is a digit's.

    Half of the pictures are on ruled or squared paper, and in most the digits touch. All processors draw; what they
    draw depends on `seed` alone. Raises `ChildError`.
    """
    random = np.random.default_rng(seed)
    tasks = []
    for start in range(0, lines, _CHUNK):
        count = min(_CHUNK, lines - start)
        chosen = random.integers(0, len(digits), count * LONGEST)
        tasks.append((Part(digits.pixels[chosen], digits.labels[chosen]), count, int(random.integers(2**31))))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ExitStack() as stack:
        shares = [tasks[core::cores] for core in range(min(cores, len(tasks)))]
        children = [stack.enter_context(Child("training.data.lines", "draws lines", (form, each))) for each in shares]
        drawn = [_received(children[number % cores], form) for number in range(len(tasks))]
    nothing = np.zeros((0, form.rows * form.cols), np.uint8)
    crops = concatenate([Part(nothing, np.zeros(0, np.int64)), *(each.digits for each in drawn)])
    return Crops(crops, np.concatenate([nothing, *(each.others for each in drawn)]))


def _received(child: Child, form: Form) -> Crops:
    """The next task's crops."""
    labels = np.frombuffer(child.receive(), np.int64)
    images, others = (np.frombuffer(child.receive(), np.uint8).reshape(-1, form.rows * form.cols) for _ in range(2))
    return Crops(Part(images, labels), others)


def _drawn(form: Form, tasks: list[tuple[Part, int, int]]) -> Iterator[NDArray[Any]]:
    """In a second process: three arrays for each task."""
    for task in tasks:
        crops = _draw(form, task)
        yield from (crops.digits.labels, crops.digits.pixels, crops.others)


def _draw(form: Form, task: tuple[Part, int, int]) -> Crops:
    """The crops of some lines; `task` is the digits for them, how many lines, and the seed."""
    digits, lines, seed = task
    random = np.random.default_rng(seed)
    labels: list[int] = []
    images: list[NDArray[np.uint8]] = []
    others: list[NDArray[np.uint8]] = []
    for number in range(lines):
        own = slice(number * LONGEST, number * LONGEST + int(random.integers(1, LONGEST + 1)))
        line = draw_line(digits[own], form, random, touching=random.random() < _TOUCHING)
        try:
            found = segment(line.grey, form)
        except TooManyMarksError:
            continue
        for candidate in (each for row in found.lines for chain in row.chains for each in chain.candidates):
            label = _label(candidate, line, found.factor)
            if label == _NONE:
                others.append(found.pixels[candidate.row])
            elif label is not None:
                labels.append(label)
                images.append(found.pixels[candidate.row])
    nothing = np.zeros((0, form.rows * form.cols), np.uint8)
    return Crops(
        Part(np.stack(images) if images else nothing, np.array(labels, np.int64)),
        np.stack(others) if others else nothing,
    )


def _label(candidate: Candidate, line: LinePicture, factor: float) -> int | None:
    """The class of a candidate, `_NONE` if it is no digit, None if it is hard to say."""
    left, right = candidate.box[2] * factor, candidate.box[3] * factor
    common = [max(0.0, min(right, end) - max(left, start)) for start, end in line.spans]
    shares = [part / (end - start) for part, (start, end) in zip(common, line.spans, strict=True)]
    both = [part / (max(right, end) - min(left, start)) for part, (start, end) in zip(common, line.spans, strict=True)]
    nearest = int(np.argmax(both))
    if both[nearest] > _IS:
        return line.labels[nearest]
    second = max((share for place, share in enumerate(shares) if place != nearest), default=0.0)
    return _NONE if shares[nearest] < _LESS or second > _SECOND else None


def draw_line(digits: Part, form: Form, random: np.random.Generator, *, touching: bool) -> LinePicture:
    """A picture of all `digits` side by side, on plain, ruled or squared paper; the images of `digits` are of `form`.

    Those that touch overlap by up to 17 % of the narrower one.
    """
    height = random.uniform(*_HEIGHTS)
    bent = augment(digits.pixels.astype(np.float32), _BENT, rows=form.rows, cols=form.cols, random=random)
    room = round(0.4 * height)
    ink = np.zeros((round(2 * height), round((len(bent) + 1) * _WIDEST * 1.3 * height)), np.float32)
    spans: list[tuple[int, int]] = []
    column = room
    for image in bent:
        digit = crop((image.reshape(form.rows, form.cols) / form.pixel_max).clip(0, 1))
        rows = max(8, round(height * random.uniform(1 - _UNEVEN, 1 + _UNEVEN)))
        cols = min(max(3, round(digit.shape[1] * rows / len(digit))), round(_WIDEST * rows))
        large = np.asarray(Image.fromarray(digit).resize((cols, rows), Image.Resampling.BICUBIC)).clip(0, 1)
        if spans and touching:
            column -= 1 + int(random.uniform(0, _LAP) * min(cols, spans[-1][1] - spans[-1][0]))
        elif spans:
            column += int(random.uniform(*_GAPS) * height)
        top = max(0, round(0.5 * height + random.uniform(-_MOVED, _MOVED) * height))
        part = ink[top : top + rows, column : column + cols]
        np.maximum(part, large[: len(part), : part.shape[1]], out=part)
        spans.append((column, column + cols))
        column += cols
    grey = _on_paper(ink[:, : column + room], height, random)
    return LinePicture(grey, digits.labels.tolist(), spans)


def _on_paper(ink: Floats, height: float, random: np.random.Generator) -> Floats:
    """A picture of the ink, float32 [height, width], 0 black to 1 white."""
    paper = (random.uniform(0.85, 1) + random.normal(0, 0.01, ink.shape)).astype(np.float32)
    kind = _PAPERS[random.integers(len(_PAPERS))]
    if kind != "plain":
        apart = round(height * (random.uniform(0.45, 0.8) if kind == "squared" else random.uniform(1.2, 1.8)))
        tone, wide = random.uniform(0.15, 0.35), max(1, round(height / 40))
        lines = np.zeros(ink.shape, np.bool_)
        lines[(np.arange(len(ink)) + random.integers(apart)) % apart < wide] = True
        if kind == "squared":
            lines[:, (np.arange(ink.shape[1]) + random.integers(apart)) % apart < wide] = True
        paper[lines] -= np.float32(tone)
    picture: Floats = (paper * (1 - ink * np.float32(random.uniform(0.7, 0.95)))).clip(0, 1)
    return picture


if __name__ == "__main__":
    compute(_drawn)
