"""The connected marks of a picture, and which of them are the digit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]

# A mark with less than this part of the ink of the largest is a speck. The bar of a 5 drawn apart has a tenth or more.
_SPECK = 0.02
# A mark shorter than this part of the picture is a speck whatever else there is.
_DOT = 0.03
# A mark further from the digit than this part of the digit's size is none of its strokes.
_FAR = 0.33
# One that touches a border which the digit does not is part of a neighbour unless it is as near as this.
_NEAR = 0.1
# A mark this tall beside the digit, as a part of the digit's height, is a digit or a letter of its own.
_TALL = 0.5


@dataclass(frozen=True, slots=True)
class Marks:
    """The connected marks of a mask [height, width], corners included; all arrays have one entry a mark."""

    shape: tuple[int, int]
    starts: Ints
    """Where each run of pixels along a row begins, in the mask padded by one column on either side, row after row."""
    ends: Ints
    """Where it ends, exclusive."""
    owner: Ints
    """The mark that each run belongs to."""
    ink: NDArray[np.float64]
    """Sum of the ink of each mark, in pixels of full ink."""
    top: Ints
    bottom: Ints
    """The last row, inclusive, as `right` is the last column."""
    left: Ints
    right: Ints

    def __len__(self) -> int:
        return len(self.ink)

    @property
    def sizes(self) -> Ints:
        """The longer side of each mark's box in pixels."""
        sizes: Ints = np.maximum(self.bottom - self.top, self.right - self.left) + 1
        return sizes

    def touched(self, edge: int = 0) -> Mask:
        """Which borders each mark comes to within `edge` pixels of: top, bottom, left, right; bool [marks, 4]."""
        height, width = self.shape
        near = [self.top <= edge, self.bottom >= height - 1 - edge, self.left <= edge, self.right >= width - 1 - edge]
        return np.stack(near, axis=1)

    def borders(self, edge: int = 0) -> Ints:
        """How many of the picture's four borders each mark comes to within `edge` pixels of."""
        borders: Ints = self.touched(edge).sum(axis=1)
        return borders

    def sums(self, values: Floats) -> NDArray[np.float64]:
        """The sum of float32 [height, width] over the pixels of each mark."""
        height, width = self.shape
        padded = np.zeros((height, width + 2), np.float32)
        padded[:, 1:-1] = values
        sums = np.concatenate([[0.0], np.cumsum(padded.ravel(), dtype=np.float64)])
        return _totals(self.owner, sums[self.ends] - sums[self.starts], len(self))

    def mask(self, kept: Mask) -> Mask:
        """The pixels of the marks for which `kept` is true: bool [height, width]."""
        height, width = self.shape
        chosen = kept[self.owner]
        steps = np.zeros(height * (width + 2) + 1, np.int8)
        steps[self.starts[chosen]] = 1
        steps[self.ends[chosen]] = -1
        inside = np.cumsum(steps[:-1], dtype=np.int8).astype(np.bool_)
        return inside.reshape(height, width + 2)[:, 1:-1]


def find_marks(ink: Floats) -> Marks:
    """The connected marks of `ink` float32 [height, width]: pixels above 0 that touch, corners included."""
    height, width = ink.shape
    stride = width + 2
    padded = np.zeros((height, stride), np.float32)
    padded[:, 1:-1] = ink
    flat = padded.ravel()
    changes = np.flatnonzero(np.diff(flat > 0)) + 1
    starts, ends = changes[::2], changes[1::2]
    owner = _joined(starts, ends, stride)
    roots, owner = np.unique(owner, return_inverse=True)
    count = len(roots)
    sums = np.concatenate([[0.0], np.cumsum(flat, dtype=np.float64)])
    row, first, last = starts // stride, starts % stride - 1, (ends - 1) % stride - 1
    top, left = np.full(count, height), np.full(count, width)
    bottom, right = np.full(count, -1), np.full(count, -1)
    np.minimum.at(top, owner, row)
    np.maximum.at(bottom, owner, row)
    np.minimum.at(left, owner, first)
    np.maximum.at(right, owner, last)
    ink_of = _totals(owner, sums[ends] - sums[starts], count)
    return Marks((height, width), starts, ends, owner, ink_of, top, bottom, left, right)


def _totals(owner: Ints, values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    totals: NDArray[np.float64] = np.bincount(owner, weights=values, minlength=count).astype(np.float64)
    return totals


def _joined(starts: Ints, ends: Ints, stride: int) -> Ints:
    """For each run the least number of a run that it is connected to over any number of rows."""
    first = np.searchsorted(ends, starts + stride, "left")
    counts = np.maximum(np.searchsorted(starts, ends + stride, "right") - first, 0)
    above = np.repeat(np.arange(len(starts)), counts)
    below = np.arange(len(above)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    root = np.arange(len(starts))
    while True:
        one, other = root[above], root[below]
        apart = one != other
        if not apart.any():
            return root
        one, other = one[apart], other[apart]
        root[np.maximum(one, other)] = np.minimum(one, other)
        while not np.array_equal(root, nearer := root[root]):
            root = nearer


def main_mark(marks: Marks) -> int:
    """The mark that is the digit or its largest stroke: the most ink, which counts less the more borders it touches."""
    weights = marks.ink * np.array([1, 0.5, 0.25, 0.25, 0.25])[marks.borders(_edge(marks))]
    return int(np.argmax(weights))


def digit_marks(marks: Marks) -> tuple[Mask, bool]:
    """Which marks are the digit, bool [marks], and whether others as tall stand beside it.

    Specks are dropped, and so are neighbours: marks that touch the border while the digit does not, and marks
    further from it than a third of its size.
    """
    sizes = marks.sizes
    if len(marks) == 1:
        return sizes >= _DOT * max(marks.shape), False
    main = main_mark(marks)
    kept = (marks.ink >= _SPECK * marks.ink[main]) & (sizes >= _DOT * max(marks.shape))
    size = int(sizes[main])
    across = np.maximum(marks.left - marks.right[main], marks.left[main] - marks.right)
    down = np.maximum(marks.top - marks.bottom[main], marks.top[main] - marks.bottom)
    gap = np.maximum(across, down)
    far = gap > _FAR * size
    touched = marks.touched(_edge(marks))
    elsewhere = (touched & ~touched[main]).any(axis=1)
    neighbour = far | (elsewhere & (gap > _NEAR * size) & (np.count_nonzero(touched[main]) < 2))
    tall = (marks.bottom - marks.top + 1 >= _TALL * (marks.bottom[main] - marks.top[main] + 1)) & (across > 0)
    several = bool((kept & tall & (marks.borders(_edge(marks)) < 2))[np.arange(len(marks)) != main].any())
    return kept & ~neighbour, several


def _edge(marks: Marks) -> int:
    """How near to the border ink touches it: next to it where pixels are fine."""
    return 1 if max(marks.shape) >= 64 else 0
