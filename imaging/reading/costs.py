"""What speaks for and against a part of a line being one digit.

The costs of a division add up over its digits: a semi-Markov conditional random field (S. Sarawagi, W. W. Cohen,
NIPS 2004), whose weights in `costs.json` `training.reading` fits to pasted lines of digits.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.reading.segment import Candidate

Floats = NDArray[np.float64]

SHAPE_FEATURES = ("not_a_digit", "cut", "cut_root", "apart", "low")
"""Logarithm of the chance to be a digit; strokes that are cut, and their root; marks that stand apart; how much lower
than the line it is, in parts of the line's height."""
DIGIT_FEATURES = ("score", "bias", "aspect", "aspect_squared")
"""Logarithm of the best score; 1; logarithm of width by height, and its square."""

_LEAST = 1e-4  # chances below this count as this
_LOW = 0.98  # of the line's height: digits are lower
_ASPECT = 2.5  # a greater logarithm of the aspect counts as this: a one may be a hairline


@dataclass(frozen=True, slots=True)
class Costs:
    """The weights; a greater sum is likelier."""

    shape: tuple[float, ...]
    """Of `SHAPE_FEATURES`."""
    digits: tuple[tuple[float, ...], ...]
    """For each digit 0..9 those of `DIGIT_FEATURES`."""
    skipped: float
    """For a piece that belongs to no digit."""
    shared: float
    """For a piece that two digits share."""

    @classmethod
    def load(cls, path: Path) -> "Costs":
        """The weights of a file."""
        found = json.loads(path.read_text())
        digits = tuple(map(tuple, found["digits"]))
        return cls(tuple(found["shape"]), digits, found["skipped"], found["shared"])

    def save(self, path: Path) -> None:
        """Write the weights to a file."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def weigh(self, features: Floats, labels: NDArray[np.int64]) -> Floats:
        """How likely each candidate is the digit of its label, as a logarithm that is not normalised: float64 [N]."""
        shape, digit = features[:, : len(SHAPE_FEATURES)], features[:, len(SHAPE_FEATURES) :]
        weighed: Floats = shape @ np.array(self.shape) + (digit * np.array(self.digits)[labels]).sum(axis=1)
        return weighed


COSTS = Costs.load(Path(__file__).with_name("costs.json"))


def features(
    candidates: Sequence[Candidate], height: float, scores: NDArray[np.float32], not_a_digit: NDArray[np.float32] | None
) -> Floats:
    """What is known of each candidate of a chain of this height: float64 [N, shape and digit features].

    `scores` [N, 10] and `not_a_digit` [N] are those of the candidates.
    """
    tops, bottoms, lefts, rights = np.array([each.box for each in candidates], np.float64).reshape(-1, 4).T
    cut = np.array([each.cut for each in candidates])
    digit = np.ones(len(scores)) if not_a_digit is None else np.maximum(1.0 - not_a_digit, _LEAST)
    aspect = np.clip(np.log((rights - lefts) / (bottoms - tops)), -_ASPECT, _ASPECT)
    columns = [
        np.log(digit),
        cut,
        np.sqrt(cut),
        np.array([each.apart for each in candidates]),
        np.maximum(0, _LOW - (bottoms - tops) / height),
        np.log(np.maximum(scores.max(axis=1, initial=0).astype(np.float64), _LEAST)),
        np.ones(len(scores)),
        aspect,
        aspect**2,
    ]
    return np.stack(columns, axis=1).astype(np.float64)
