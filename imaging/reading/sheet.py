"""The ink of a picture with several digits, and the cells of its grids."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.ground import ink_is_bright, slide
from imaging.ink import FAINT, find_departures
from imaging.marks import Marks, find_marks
from imaging.pixels import WarningCode
from imaging.reading.rules import find_rules
from imaging.strokes import stroke_width

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SIDE = 768  # pixels along the longer side of the picture that is searched, at most
_TRACE, _NOISES = 0.06, 5.0  # of full ink, and times the noise of the ground: what departs further may be a line
_FRAME = 0.25  # a mark that spans this part of the picture in both directions may be a frame or a grid
_FULL = 0.35  # it has less ink than this part of its box
_SIDES = 2  # it has so many lines at least in either direction
_BOLD = 2.0  # its lines may be so many times as thick as others
_CLOSED = 5  # gaps of lines shorter than so many pixels are closed
_CELLS = 4  # so many fields of one size between lines are a grid
_DIGIT = 0.3  # of a field's height: lower marks are not looked at when it is asked
_INSIDE, _USED = 0.9, 0.1  # whether so many marks lie each in one field, and so many fields are not empty
_ALIKE = 0.5  # their sides lie within this part of the median


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a grid."""

    row: int
    """From 0, from the top."""
    col: int
    """From 0, from the left."""
    box: tuple[int, int, int, int]
    """top, bottom, left, right in the sheet; bottom and right exclusive."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The fields of one grid, row by row."""

    cells: tuple[Cell, ...]
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The ink of one picture, without lines."""

    ink: Floats
    """float32 [height, width], 0 none to 1 full; at most 768 pixels along the longer side."""
    factor: float
    """Pixels of the picture for one of the sheet."""
    grids: tuple[Grid, ...]
    codes: tuple[WarningCode, ...]
    """What was seen on the way, each once."""


def find_sheet(grey: Floats) -> Sheet:
    """The ink of a picture float32 [height, width], 0 black to 1 white, without rules, frames and grids."""
    small, factor = _reduced(grey)
    stood_out = find_departures(small, ink_is_bright(small))
    if stood_out is None:
        return Sheet(np.zeros_like(small), factor, (), (WarningCode.BLANK,))
    ink, full = stood_out.ink, stood_out.full
    stroke = stroke_width(ink)
    # Lines are often fainter than ink: with all that departs from the ground, they have fewer gaps.
    trace = max(_TRACE * full, _NOISES * stood_out.noise)
    faint = (stood_out.departure > trace).astype(np.float32)
    rules = find_rules(faint, stroke)
    ink[rules.pixels] = 0
    lined = bool(rules.pixels.any())
    marks = find_marks(ink)
    squares = _grid(rules.pixels, 0, 0)
    grids = [squares] if squares is not None and _holds_all(squares, marks) else []
    for place in _frames(marks):
        top, bottom, left, right = box_of(marks, place)
        frame = find_rules(faint[top:bottom, left:right], stroke, bold=_BOLD)
        if min(frame.level, frame.upright) < _SIDES:  # a digit has one straight stroke or two
            continue
        taken = frame.pixels
        lined = True
        ink[top:bottom, left:right][taken] = 0
        grid = _grid(taken, top, left)
        if grid is not None:
            grids.append(grid)
    codes = [
        code for code, seen in ((WarningCode.LINES_REMOVED, lined), (WarningCode.LOW_CONTRAST, full < FAINT)) if seen
    ]
    return Sheet(ink, factor, tuple(grids), tuple(codes))


def box_of(marks: Marks, place: int) -> tuple[int, int, int, int]:
    """The box of one mark: top, bottom, left, right; bottom and right exclusive."""
    return int(marks.top[place]), int(marks.bottom[place]) + 1, int(marks.left[place]), int(marks.right[place]) + 1


def _reduced(grey: Floats) -> tuple[Floats, float]:
    """The picture at no more than `_SIDE` pixels a side, and the factor."""
    factor = max(grey.shape) / _SIDE
    if factor <= 1:
        return grey, 1.0
    size = max(1, round(grey.shape[1] / factor)), max(1, round(grey.shape[0] / factor))
    image = Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BOX)
    return np.asarray(image, np.float32), factor


def _frames(marks: Marks) -> list[int]:
    """The marks that may be frames or grids: large, and mostly empty."""
    heights, widths = marks.bottom - marks.top + 1, marks.right - marks.left + 1
    large = np.minimum(heights / marks.shape[0], widths / marks.shape[1]) >= _FRAME
    return [int(place) for place in np.flatnonzero(large & (marks.ink < _FULL * heights * widths))]


def _grid(lines: Mask, top: int, left: int) -> Grid | None:
    """The fields between `lines` [height, width], whose corner is at `top`, `left`; None for less than four."""
    # Lines have gaps where strokes cross them.
    closed = slide(lines.astype(np.float32), _CLOSED, np.maximum) > 0
    fields = find_marks((~closed).astype(np.float32))
    heights, widths = fields.bottom - fields.top + 1, fields.right - fields.left + 1
    # Slivers between double lines and outside of a leaning frame are none.
    large = (heights > 0.02 * lines.shape[0]) & (widths > 0.02 * lines.shape[1]) & (np.minimum(heights, widths) > 6)
    if not large.any():
        return None
    height, width = float(np.median(heights[large])), float(np.median(widths[large]))
    alike = large & (abs(heights - height) < _ALIKE * height) & (abs(widths - width) < _ALIKE * width)
    places = np.flatnonzero(alike)
    if len(places) < _CELLS:
        return None
    rows = _ranks((fields.top[places] + fields.bottom[places]) / 2, 0.5 * height)
    cols = _ranks((fields.left[places] + fields.right[places]) / 2, 0.5 * width)
    cells = []
    for place, row, col in zip(places.tolist(), rows, cols, strict=True):
        box = box_of(fields, place)
        cells.append(Cell(row, col, (box[0] + top, box[1] + top, box[2] + left, box[3] + left)))
    cells.sort(key=lambda cell: (cell.row, cell.col))
    return Grid(tuple(cells), (top, top + lines.shape[0], left, left + lines.shape[1]))


def _holds_all(grid: Grid, marks: Marks) -> bool:
    """Whether the marks stand in the fields, one or several in each, and not all over squared paper."""
    boxes = np.array([cell.box for cell in grid.cells])
    large = marks.bottom - marks.top + 1 >= _DIGIT * np.median(boxes[:, 1] - boxes[:, 0])
    middles = (marks.top + marks.bottom)[large] / 2, (marks.left + marks.right)[large] / 2
    rows = (boxes[:, :1] <= middles[0]) & (middles[0] < boxes[:, 1:2])
    cols = (boxes[:, 2:3] <= middles[1]) & (middles[1] < boxes[:, 3:])
    inside = rows & cols  # [fields, marks]
    fits = (boxes[:, :1] - 2 <= marks.top[large]) & (marks.bottom[large] <= boxes[:, 1:2] + 2) & inside
    found = np.count_nonzero(large)
    return bool(found and fits.any(axis=0).mean() >= _INSIDE and inside.any(axis=1).mean() >= _USED)


def _ranks(centres: NDArray[np.float64], apart: float) -> list[int]:
    """For each centre the number, from 0, of its row or column: centres of one follow each other closely."""
    order = np.argsort(centres)
    steps = np.diff(centres[order]) > apart
    ranks = np.empty(len(centres), np.int64)
    ranks[order] = np.concatenate([[0], np.cumsum(steps)])
    return [int(rank) for rank in ranks]
