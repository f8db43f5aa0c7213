"""Where a model lies on disk: `models/<name>/<version>/{model.onnx, card.json, golden.npz, report/}`.

A faster variant of the same version stands beside it as `model.int8.onnx` or `model.fp16.onnx`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import MAX_VERSION, NAME, Variant

# The names inside model.onnx. Hidden layers are `Card.hidden_names`; the parameters of layer 1, 2, …
# of member 0, 1, … are initializers named by `weights_name` and `biases_name`.
INPUT = "pixels"
LABEL = "label"
SCORES = "scores"
NOT_A_DIGIT = "not_a_digit"  # where the card has an `outlier_auc`, from the two initializers:
DETECTOR_WEIGHTS = "detector.weights"  # float32 [width of the last hidden layers of all members]
DETECTOR_BIAS = "detector.bias"  # float32, one number


def weights_name(member: int, layer: int) -> str:
    """Initializer with the weights, float32 [inputs, neurons], of `layer` (from 1) of `member` (from 0)."""
    return f"member_{member}.weights_{layer}"


def biases_name(member: int, layer: int) -> str:
    """Initializer with the biases, float32 [neurons], of `layer` (from 1) of `member` (from 0)."""
    return f"member_{member}.biases_{layer}"


def scales_name(member: int, layer: int) -> str:
    """Initializer, in the variant int8, with what the whole numbers under `weights_name` are to be multiplied by."""
    return f"member_{member}.scales_{layer}"


HALF_INK = 256.0
"""The variant fp16 divides pixels by it, and its first-layer weights are multiplied by it: float16 has few digits for
numbers as small as weights that take pixels up to 255, and a power of two costs none."""


class LayoutError(ValueError):
    """A models folder or a file in it is missing or malformed; the message names it."""


@dataclass(frozen=True, slots=True)
class Golden:
    """The parity receipt: real test images and what scikit-learn made of them."""

    pixels: NDArray[np.uint8]
    """uint8 [K, rows*cols], in the card's pixel range."""
    labels: NDArray[np.int64]
    """int64 [K], scikit-learn's predictions, as the output `label` gives them."""
    scores: NDArray[np.float32]
    """float32 [K, classes], scikit-learn's `predict_proba`."""
    not_a_digit: NDArray[np.float32] | None = None
    """float32 [K], the chance that it is none, of a model that can tell."""


@dataclass(frozen=True, slots=True)
class VersionFolder:
    """One version of one model on disk."""

    models: Path
    name: str
    version: int
    variant: Variant = ""
    """Which of its files is meant by `onnx`: none is model.onnx itself."""

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.models / self.name / str(self.version)

    @property
    def onnx(self) -> Path:
        """The model, whole by itself."""
        return self.path / f"model.{self.variant}.onnx" if self.variant else self.path / "model.onnx"

    @property
    def card(self) -> Path:
        """The card for people, with the date; nothing reads it to serve."""
        return self.path / "card.json"

    @property
    def golden(self) -> Path:
        """The parity receipt, see `Golden`."""
        return self.path / "golden.npz"

    @property
    def report(self) -> Path:
        """Folder of pictures about the training and the test set."""
        return self.path / "report"

    def fingerprint(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Changes when the model or golden.npz is replaced or written to: their time, size and inode."""

        def of(path: Path) -> tuple[int, int, int] | None:
            try:
                stat = path.stat()
            except OSError:
                return None
            return stat.st_mtime_ns, stat.st_size, stat.st_ino

        return of(self.onnx), of(self.golden)

    def read_onnx(self) -> bytes:
        """The bytes of `onnx`; raises `LayoutError` when it is missing, unreadable or no regular file."""
        try:
            if not self.onnx.is_file() and self.onnx.exists():
                raise LayoutError(f"{self.onnx} cannot be read: it is no file")
            return self.onnx.read_bytes()
        except OSError as error:
            raise LayoutError(f"{self.onnx} cannot be read: {error.strerror}") from None

    def write_golden(self, golden: Golden) -> None:
        """Write `golden.npz`; the same rows give the same bytes."""
        np.savez_compressed(self.golden, allow_pickle=False, **_arrays(golden))

    def read_golden(self) -> Golden:
        """Read `golden.npz`; raises `LayoutError` when it is missing or not of the form `Golden` states."""
        try:
            if not self.golden.is_file() and self.golden.exists():
                raise LayoutError("it is no file")
            with np.load(self.golden, allow_pickle=False) as arrays:
                golden = Golden(arrays["pixels"], arrays["labels"], arrays["scores"], arrays.get(NOT_A_DIGIT))
        except FileNotFoundError:
            raise LayoutError(f"{self.golden} is missing") from None
        except Exception as error:  # a damaged zip raises what it likes
            raise LayoutError(f"{self.golden} cannot be read: {error}") from None
        forms: dict[str, tuple[type, int]] = {
            "pixels": (np.uint8, 2),
            "labels": (np.int64, 1),
            "scores": (np.float32, 2),
            NOT_A_DIGIT: (np.float32, 1),
        }
        for key, array in _arrays(golden).items():
            dtype, ndim = forms[key]
            if array.dtype != dtype or array.ndim != ndim or len(array) != len(golden.labels) or len(array) == 0:
                raise LayoutError(
                    f"{self.golden}: {key} is {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)} with "
                    f"{ndim} dimension{'s' * (ndim > 1)} and as many rows, at least 1, as the other arrays"
                )
        return golden


def _arrays(golden: Golden) -> dict[str, NDArray[Any]]:
    """By their names in the file."""
    arrays: dict[str, NDArray[Any]] = {"pixels": golden.pixels, "labels": golden.labels, "scores": golden.scores}
    return arrays if golden.not_a_digit is None else arrays | {NOT_A_DIGIT: golden.not_a_digit}


def find_versions(models: Path) -> list[VersionFolder]:
    """All versions below `models`, by name, then by version ascending.

    Folders whose name is no model name or no positive integer, and those whose name starts with a dot,
    are passed over; a version folder is listed whatever is in it. Raises `LayoutError` when `models` is
    missing, not a folder, or not to be read.
    """
    try:
        if not models.is_dir():
            what = "is not a folder" if models.exists() else "does not exist"
            raise LayoutError(f"models folder {models} {what}")
        found = [
            VersionFolder(models, entry.name, int(child.name))
            for entry in models.iterdir()
            if NAME.fullmatch(entry.name) and entry.is_dir()
            for child in entry.iterdir()
            if is_version(child.name) and child.is_dir()
        ]
    except OSError as error:
        raise LayoutError(f"models folder {error.filename or models} cannot be read: {error.strerror}") from None
    return sorted(found, key=lambda folder: (folder.name, folder.version))


def is_version(text: str) -> bool:
    """Whether `text` is a version as a folder or a request writes it: 1, 2, …, without leading zeros."""
    return text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= 10 and int(text) <= MAX_VERSION
