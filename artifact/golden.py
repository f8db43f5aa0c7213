"""Golden rows: test images with what scikit-learn predicts for them, which a loaded model has to reproduce."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.names import NOT_A_DIGIT

_FORMS: dict[str, tuple[type, int]] = {
    "pixels": (np.uint8, 2),
    "labels": (np.int64, 1),
    "scores": (np.float32, 2),
    NOT_A_DIGIT: (np.float32, 1),
}


class GoldenError(ValueError):
    """A file of golden rows is missing or malformed; the message names it."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Golden rows in memory."""

    pixels: NDArray[np.uint8]
    """uint8 [K, rows*cols], in the card's pixel range."""
    labels: NDArray[np.int64]
    """int64 [K], scikit-learn's predictions, as the output `label` gives them."""
    scores: NDArray[np.float32]
    """float32 [K, classes], scikit-learn's `predict_proba`."""
    not_a_digit: NDArray[np.float32] | None = None
    """float32 [K], the chance that an image shows no digit; None for a model without that output."""

    def compare(
        self,
        labels: NDArray[np.int64],
        scores: NDArray[np.float32],
        not_a_digit: NDArray[np.float32] | None,
        tolerance: float,
    ) -> tuple[float, int]:
        """The largest absolute difference of `scores` and `not_a_digit` from the golden ones; how many `labels` differ.

        All have the shapes of the golden arrays. A NaN makes the difference NaN. Either label is right where the two
        best golden scores are within 2 * `tolerance`, because the tolerance lets them change places.
        """
        differences = [np.abs(scores - self.scores).max()]
        if self.not_a_digit is not None and not_a_digit is not None:
            differences.append(np.abs(not_a_digit - self.not_a_digit).max())
        second, best = np.sort(self.scores, axis=1)[:, -2:].T
        wrong = (labels != self.labels) & (best - second > 2 * tolerance)
        return float(np.max(differences)), int(wrong.sum())


def write_golden(file: Path, golden: Golden) -> None:
    """Write `file` as .npz; the same rows give the same bytes. Raises `OSError`."""
    np.savez_compressed(file, allow_pickle=False, **_arrays(golden))


def read_golden(file: Path) -> Golden:
    """Read `file`; raises `GoldenError` when it is missing or its arrays are not of the forms that `Golden` states."""
    try:
        if not file.is_file() and file.exists():
            raise GoldenError("it is no file")
        with np.load(file, allow_pickle=False) as arrays:
            golden = Golden(arrays["pixels"], arrays["labels"], arrays["scores"], arrays.get(NOT_A_DIGIT))
    except FileNotFoundError:
        raise GoldenError(f"{file} is missing") from None
    except Exception as error:  # a damaged zip raises errors of many types
        raise GoldenError(f"{file} cannot be read: {error}") from None
    for key, array in _arrays(golden).items():
        dtype, ndim = _FORMS[key]
        if array.dtype != dtype or array.ndim != ndim or len(array) != len(golden.labels) or len(array) == 0:
            raise GoldenError(
                f"{file}: {key} is {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)} with "
                f"{ndim} dimension{'s' * (ndim > 1)} and as many rows, at least 1, as the other arrays"
            )
    return golden


def _arrays(golden: Golden) -> dict[str, NDArray[Any]]:
    """By their names in the file."""
    arrays: dict[str, NDArray[Any]] = {"pixels": golden.pixels, "labels": golden.labels, "scores": golden.scores}
    return arrays if golden.not_a_digit is None else arrays | {NOT_A_DIGIT: golden.not_a_digit}
