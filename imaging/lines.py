"""Rules, frames and grids: lines from border to border, taken off without cutting the strokes that cross them."""

import numpy as np
from numpy.typing import NDArray

from imaging.ground import slide
from imaging.marks import Marks, find_marks, main_mark

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Lines are looked for in a picture of at most this many pixels a side.
_SIDE = 128
# They lean by at most 8 degrees, and ink covers this part of their way at least.
_LEAN, _COVERED = 0.14, 0.72
# They are thinner than this part of the picture across them; along a border the picture may hold a thick frame.
_THIN, _THIN_AT_BORDER, _BORDER = 0.07, 0.16, 0.16
# Of the outer parts of the way, an eighth on either side, so much is covered too: a frame may stand off the border.
_END, _REACHED = 8, 0.4
# Lines of different slopes are looked for so many times in either direction.
_ROUNDS = 3
# Lines that cover less than this part of the picture each are lines even where there is nothing else but dots, marks
# smaller than this part of the side.
_HAIR, _DOT = 0.025, 0.05
# So many lines are a grid, whatever is left: no digit has as many.
_GRID = 3
# A line so far from what is left, as a part of the side, is no stroke of it. What is so many times as wide as high is
# no whole digit.
_APART, _FLAT = 0.04, 1.2
_SMALLEST = 40


def without_lines(ink: Floats) -> tuple[Floats, bool]:
    """`ink` float32 [height, width] without the lines that go from border to border, and whether there were any.

    A line is straight, leans by at most 8 degrees, and is thin. Where a stroke crosses it the stroke is kept. Nothing
    is taken off, unless there are three lines or more, where the rest touches two borders itself or sets off from the
    end of a line: then the lines were the strokes of a digit that fills the picture.
    """
    if min(ink.shape) < _SMALLEST:
        return ink, False
    mask = ink > 0
    level, count = _across(mask)
    upright, more = _across(np.ascontiguousarray((mask & ~level).T))
    count += more
    if not count:
        return ink, False
    taken = level | upright.T
    rest = np.where(taken, np.float32(0), ink)
    marks = find_marks(rest)
    if not len(marks) or int(marks.sizes.max()) < _DOT * max(ink.shape):
        hairs = np.count_nonzero(taken) <= _HAIR * count * mask.size
        return (rest, True) if hairs else (ink, False)
    if count < _GRID and _are_strokes(level, upright, marks):
        return ink, False
    return rest, True


def _are_strokes(level: Mask, upright: Mask, marks: Marks) -> bool:
    """Whether lines are strokes of a digit that fills the picture, by the marks that are left without them."""
    main = main_mark(marks)
    digit = marks.mask(np.arange(len(marks)) == main)
    near = slide((level | upright.T).astype(np.float32), 1 + 2 * round(_APART * max(digit.shape)), np.maximum) > 0
    if not (near & digit).any():
        return False
    # What is left of a 7 or a 4 without its stem lies flat; no digit does.
    height, width = marks.bottom[main] - marks.top[main] + 1, marks.right[main] - marks.left[main] + 1
    flat = bool(upright.any()) and width > _FLAT * height
    fills = bool(marks.borders(1 + max(digit.shape) // 50)[main] >= 2)
    return fills or flat or _leave(level, digit) or _leave(upright, digit.T)


def _leave(lines: Mask, digit: Mask) -> bool:
    """Whether a stroke of the digit sets off from an outer part of a line across, as from the bar of a 7."""
    strip = max(2, lines.shape[1] // _END)
    near = slide(lines.astype(np.float32), 5, np.maximum) > 0
    near &= digit
    return int(max(np.count_nonzero(near[:, :strip]), np.count_nonzero(near[:, -strip:]))) > 2


def _across(mask: Mask) -> tuple[Mask, int]:
    """The pixels of the lines from the left border to the right of a mask [height, width], and how many there are."""
    height, width = mask.shape
    factor = -(-max(mask.shape) // _SIDE)
    taken = np.zeros_like(mask)
    found = 0
    for _ in range(_ROUNDS):
        slope, rows = _find(_coarse(mask & ~taken, factor))
        if not len(rows):
            break
        shift = np.rint(slope * np.arange(width)).astype(np.int64)
        room = int(np.abs(shift).max())
        straight = _sheared(mask & ~taken, shift, room)
        lines = np.zeros_like(straight)
        runs = runs_down(straight)
        count = 0
        for first, last in _groups(rows * factor + room, factor):
            count += _take(straight, runs, lines, first - factor, min(last + factor, len(straight)), height, room)
        if not count:
            break
        found = max(found, count)  # later rounds mostly find the rest of the same
        taken |= _sheared(lines, -shift, 0)[room : room + height] if room else lines
    return taken, found


def _coarse(mask: Mask, factor: int) -> Mask:
    """The mask reduced by a whole factor: on where any pixel is."""
    if factor == 1:
        return mask
    padded = np.pad(mask, [(0, -side % factor) for side in mask.shape])
    rows, cols = padded.shape[0] // factor, padded.shape[1] // factor
    coarse: Mask = padded.reshape(rows, factor, cols, factor).max(axis=(1, 3))
    return coarse


def _find(mask: Mask) -> tuple[float, Ints]:
    """The slope that has most lines, in rows a column, and the rows at which they begin on the left."""
    height, width = mask.shape
    thick = mask.copy()
    thick[1:] |= mask[:-1]
    rows, cols = np.nonzero(thick)
    reach = int(_LEAN * width) // 2
    ends = 2 * np.array(sorted(range(-reach, reach + 1), key=abs))  # of equals the least slope is taken
    slopes = ends / max(1, width - 1)
    room = int(np.abs(ends).max(initial=0)) + 1
    shifts = np.rint(slopes[:, None] * np.arange(width)).astype(np.int64)
    span = height + 2 * room
    keys = rows - shifts[:, cols] + room + span * np.arange(len(slopes))[:, None]
    counts = np.bincount(keys.ravel(), minlength=span * len(slopes)).reshape(len(slopes), span)
    lines = np.where(counts >= _COVERED * width, counts, 0)
    weights = (lines.astype(np.float64) ** 4).sum(axis=1)
    best = int(np.argmax(weights))
    return float(slopes[best]), np.flatnonzero(lines[best]) - room


def _groups(rows: Ints, step: int) -> list[tuple[int, int]]:
    """Neighbouring rows as (first, last)."""
    breaks = np.flatnonzero(np.diff(rows) > step) + 1
    return [(int(group[0]), int(group[-1])) for group in np.split(rows, breaks)]


def _sheared(mask: Mask, shift: Ints, room: int) -> Mask:
    """Each column of the mask moved up by its shift, in a mask with `room` more rows above and below."""
    height, width = mask.shape
    padded = np.zeros((height + 4 * int(np.abs(shift).max()) + 2 * room + 2, width), np.bool_)
    middle = (len(padded) - height) // 2
    padded[middle : middle + height] = mask
    rows = np.arange(height + 2 * room)[:, None] + (middle - room) + shift
    sheared: Mask = padded[rows, np.arange(width)]
    return sheared


def runs_down(mask: Mask) -> NDArray[np.int16]:
    """For each pixel of the mask how many pixels its run down the column has; 0 outside."""
    height = len(mask)
    rows = np.arange(height, dtype=np.int16)[:, None]
    before = np.maximum.accumulate(np.where(mask, np.int16(-1), rows), axis=0)
    after = np.minimum.accumulate(np.where(mask, np.int16(height), rows)[::-1], axis=0)[::-1]
    return np.where(mask, after - before - 1, 0).astype(np.int16)


def _take(straight: Mask, runs: NDArray[np.int16], lines: Mask, first: int, last: int, height: int, room: int) -> int:
    """Mark in `lines` the thin runs between two rows, 1 where it is a line, else 0."""
    top, bottom = max(0, first - 1), min(len(straight), last + 2)
    band = runs[top:bottom]
    deepest = band.max(axis=0)
    present = deepest > 0
    if not present.any():
        return 0
    strip = max(2, straight.shape[1] // _END)
    if min(present[:strip].mean(), present[-strip:].mean()) < _REACHED:
        return 0
    thickness = float(np.median(deepest[present]))
    at_border = first - room < _BORDER * height or last - room > (1 - _BORDER) * height
    if thickness > (_THIN_AT_BORDER if at_border else _THIN) * height:
        return 0
    thin = (band > 0) & (band <= 1.6 * thickness + 1)
    if np.count_nonzero(thin.any(axis=0)) < 0.5 * straight.shape[1]:
        return 0
    lines[top:bottom] |= thin
    # The rest of the runs that reach out of the band.
    for edge, step in ((top, -1), (bottom - 1, 1)):
        row = edge + step
        going = lines[edge]
        while 0 <= row < len(straight) and going.any():
            going = going & straight[row]
            lines[row] |= going
            row += step
    return 1
