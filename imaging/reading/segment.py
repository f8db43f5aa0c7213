"""A picture with several digits -> images of all parts that may be a digit, for a network to choose among."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from imaging.decode import read_picture_and_size
from imaging.marks import Marks, find_marks
from imaging.pixels import WarningCode
from imaging.prepare import Form, place
from imaging.reading.cuts import find_seams
from imaging.reading.layout import Box, Part, digit_height, in_lines, no_specks, stacked
from imaging.reading.sheet import Cell, Grid, Sheet, find_sheet
from imaging.strokes import stroke_width

Floats = NDArray[np.float32]

MOST_MARKS, MOST_CANDIDATES = 1000, 4096
"""Most marks of one picture, specks left out, and most parts of them that are tried as digits."""

_WIDEST = 1.5  # of the line's height: no digit is wider
_GAP, _JOINED = 0.25, 1.25  # of the height: marks at most so far apart, together at most so wide, may be one digit
_NARROW = 0.22  # of the height: pieces that two digits may share
_TALL = 0.5  # of the height: marks so high are hardly parts of a digit
_BIT = 0.2  # of the largest mark's ink: smaller marks where ink was cut are bits of neighbours
_FULL = 0.5  # the strongest ink of a part is at least so strong


class TooManyMarksError(ValueError):
    """The picture shows more marks than are tried; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A part of a chain that may be one digit."""

    first: int
    """It goes from this piece of the chain"""
    last: int
    """to before this one."""
    box: Box
    cut: float
    """The ink that is cut on its sides, in widths of a stroke."""
    apart: int
    """How many of its marks stand beside another, both high."""
    row: int
    """Its image in `Segmented.pixels`."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Digits that stand side by side: of a line, or of one field of a grid."""

    pieces: int
    candidates: tuple[Candidate, ...]
    narrow: tuple[bool, ...]
    """Which pieces two digits may share where they overlap."""
    height: float
    """The typical height of its digits, in pixels of the sheet."""
    cell: Cell | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of digits, or one row of a grid."""

    chains: tuple[Chain, ...]
    columns: int
    """Columns of the grid; 0 for a line."""


@dataclass(frozen=True, slots=True)
class Segmented:
    """What may be digits in one picture."""

    pixels: NDArray[np.uint8]
    """uint8 [N, rows*cols], the images of all candidates."""
    lines: tuple[Line, ...]
    """In reading order."""
    factor: float
    """Pixels of the picture for one of a box."""
    shape: tuple[int, int]
    """Height and width of the picture as it was searched, turned, in its own pixels."""
    codes: tuple[WarningCode, ...]


def segment_file(data: bytes, form: Form, *, turns: int, max_image_pixels: int) -> Segmented:
    """The same for one image file, turned clockwise by so many quarter turns. Raises `ImageError` as well."""
    grey, size = read_picture_and_size(data, max_image_pixels=max_image_pixels)
    found = segment(np.ascontiguousarray(np.rot90(grey, -turns)), form)
    # Large pictures were reduced.
    factor = found.factor * max(size) / max(grey.shape)
    return replace(found, factor=factor, shape=size[::-1] if turns % 2 else size)


def segment(grey: Floats, form: Form) -> Segmented:
    """The digits that the picture float32 [height, width], 0 black to 1 white, may show, for models that take `form`.

    Raises `TooManyMarksError`.
    """
    sheet = find_sheet(grey)
    marks = find_marks(sheet.ink)
    height = digit_height(marks)
    kept = no_specks(marks, height)
    if (count := np.count_nonzero(kept)) > MOST_MARKS:
        raise TooManyMarksError(f"the picture shows {count} marks, expected at most {MOST_MARKS}")
    images: list[NDArray[np.uint8]] = []
    placed: list[tuple[Box, Line]] = []
    for grid in sheet.grids:
        placed += [(grid.box, line) for line in _rows(sheet, marks, kept, grid, form, images)]
    for parts in in_lines(marks, kept, height):
        boxes = [part.box for part in parts]
        box = min(b[0] for b in boxes), max(b[1] for b in boxes), boxes[0][2], max(b[3] for b in boxes)
        placed.append((box, Line((_chain(sheet, marks, parts, None, form, images),), 0)))
    placed.sort(key=lambda each: each[0][0])
    pixels = np.stack(images) if images else np.zeros((0, form.rows * form.cols), np.uint8)
    lines = tuple(line for _, line in placed if line.columns or any(chain.candidates for chain in line.chains))
    codes = sheet.codes if lines or WarningCode.BLANK in sheet.codes else (*sheet.codes, WarningCode.BLANK)
    return Segmented(pixels, lines, sheet.factor, (grey.shape[0], grey.shape[1]), codes)


def _rows(
    sheet: Sheet, marks: Marks, kept: NDArray[np.bool_], grid: Grid, form: Form, images: list[NDArray[np.uint8]]
) -> list[Line]:
    """The rows of a grid. The marks in its fields are taken out of `kept`."""
    middles = (marks.top + marks.bottom) / 2, (marks.left + marks.right) / 2
    rows: dict[int, list[Chain]] = {cell.row: [] for cell in grid.cells}
    for cell in grid.cells:
        top, bottom, left, right = cell.box
        inside = (middles[0] >= top) & (middles[0] < bottom) & (middles[1] >= left) & (middles[1] < right)
        # Remains of lines at the field's border are no digits.
        sized = (marks.bottom - marks.top + 1 >= 0.25 * (bottom - top)) & (
            marks.right - marks.left < 1.1 * (right - left)
        )
        found = np.flatnonzero(inside & kept & sized).tolist()
        kept &= ~inside
        if found:
            chain = _chain(sheet, marks, stacked(marks, found), cell, form, images)
            if chain.candidates:
                rows[cell.row].append(chain)
    columns = 1 + max(cell.col for cell in grid.cells)
    return [Line(tuple(chains), columns) for _, chains in sorted(rows.items())]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What lies between two cuts: ink that is not divided further."""

    box: Box
    ink: Floats
    cut: float
    """The ink of the cut on its right, in widths of its part's stroke."""
    part: int
    """The part of the line that it is of."""


def _chain(
    sheet: Sheet, marks: Marks, parts: list[Part], cell: Cell | None, form: Form, images: list[NDArray[np.uint8]]
) -> Chain:
    """The candidates of one line or field; their images are appended to `images`."""
    height = float(np.median([part.box[1] - part.box[0] for part in parts]))
    pieces = [piece for number, part in enumerate(parts) for piece in _pieces(sheet, marks, part, number, height)]
    if not pieces:
        return Chain(0, (), (), height, cell)
    candidates = []
    for first in range(len(pieces)):
        for last in range(first + 1, len(pieces) + 1):
            joined = pieces[first:last]
            box = _around([piece.box for piece in joined])
            if last > first + 1 and not _may_join(joined, box, height):
                break
            ink = np.zeros((box[1] - box[0], box[3] - box[2]), np.float32)
            for piece in joined:
                part = ink[piece.box[0] - box[0] : piece.box[1] - box[0], piece.box[2] - box[2] : piece.box[3] - box[2]]
                np.maximum(part, piece.ink, out=part)
            cuts = (pieces[first - 1].cut if first else 0.0, joined[-1].cut)
            ink, box = _without_bits(ink, box, cuts)
            if ink.max(initial=0) < _FULL:
                continue
            if len(images) >= MOST_CANDIDATES:
                raise TooManyMarksError(
                    f"the marks of the picture have more than {MOST_CANDIDATES} parts to try, expected fewer digits"
                )
            candidates.append(Candidate(first, last, box, sum(cuts), _apart(joined, height), len(images)))
            images.append(place(ink, form))
    narrow = tuple(piece.box[3] - piece.box[2] <= _NARROW * height for piece in pieces)
    return Chain(len(pieces), tuple(candidates), narrow, height, cell)


def _pieces(sheet: Sheet, marks: Marks, part: Part, number: int, height: float) -> list[_Piece]:
    """The part, cut at all its seams."""
    top, bottom, left, right = part.box
    kept = np.zeros(len(marks), np.bool_)
    kept[part.marks] = True
    ink = np.where(marks.mask(kept)[top:bottom, left:right], sheet.ink[top:bottom, left:right], np.float32(0))
    seams = find_seams(ink, height)
    stroke = max(1.0, float(stroke_width(ink))) if seams else 1.0
    columns = np.arange(ink.shape[1])
    starts = [np.zeros(len(ink), np.int64), *(seam.cols for seam in seams)]
    ends = [*(seam.cols for seam in seams), np.full(len(ink), ink.shape[1])]
    pieces: list[_Piece] = []
    for start, end, cut in zip(starts, ends, [*(seam.ink for seam in seams), 0.0], strict=True):
        own = np.where((columns >= start[:, None]) & (columns < end[:, None]), ink, np.float32(0))
        rows, cols = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
        if not len(rows):
            continue
        inner = own[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        box = top + int(rows[0]), top + int(rows[-1]) + 1, left + int(cols[0]), left + int(cols[-1]) + 1
        pieces.append(_Piece(box, inner, cut / stroke, number))
    return pieces


def _without_bits(ink: Floats, box: Box, cuts: tuple[float, float]) -> tuple[Floats, Box]:
    """The ink in its box without bits of neighbours: small marks at a side, left or right, that ink was cut on."""
    if not any(cuts):
        return ink, box
    marks = find_marks(ink)
    if len(marks) < 2:
        return ink, box
    at_side = ((marks.left <= 1) & (cuts[0] > 0)) | ((marks.right >= ink.shape[1] - 2) & (cuts[1] > 0))
    bits = at_side & (marks.ink < _BIT * marks.ink.max())
    if not bits.any():
        return ink, box
    cleaned = np.where(marks.mask(~bits), ink, np.float32(0))
    rows, cols = np.flatnonzero(cleaned.any(axis=1)), np.flatnonzero(cleaned.any(axis=0))
    top, left = int(rows[0]), int(cols[0])
    inner = cleaned[top : rows[-1] + 1, left : cols[-1] + 1]
    return inner, (box[0] + top, box[0] + top + inner.shape[0], box[2] + left, box[2] + left + inner.shape[1])


def _around(boxes: list[Box]) -> Box:
    tops, bottoms, lefts, rights = zip(*boxes, strict=True)
    return min(tops), max(bottoms), min(lefts), max(rights)


def _may_join(pieces: list[_Piece], box: Box, height: float) -> bool:
    """Whether so many pieces may be one digit."""
    wide = box[3] - box[2]
    if pieces[0].part == pieces[-1].part:
        return wide <= _WIDEST * height
    gaps = [after.box[2] - before.box[3] for before, after in pairwise(pieces)]
    return wide <= _JOINED * height and max(gaps) <= _GAP * height


def _apart(pieces: list[_Piece], height: float) -> int:
    """How many times a high mark stands beside another without a common column."""
    boxes: dict[int, list[Box]] = {}
    for piece in pieces:
        boxes.setdefault(piece.part, []).append(piece.box)
    parts = [_around(each) for each in boxes.values()]
    return sum(
        after[2] >= before[3] and min(before[1] - before[0], after[1] - after[0]) >= _TALL * height
        for before, after in pairwise(parts)
    )
