"""The layout of models on disk: `models/<name>/<version>/{model.onnx, card.json, golden.npz, report/}`.

A faster variant of the same version stands beside it as `model.int8.onnx` or `model.fp16.onnx`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from artifact.card import MAX_VERSION, NAME, Variant
from artifact.golden import Golden, read_golden, write_golden

PREFERRED_MODELS = ("mnist-256x128", "mnist-16x16")


class LayoutError(ValueError):
    """A models folder or a file in it is missing or malformed; the message names it."""


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
        """The self-contained model."""
        return self.path / f"model.{self.variant}.onnx" if self.variant else self.path / "model.onnx"

    @property
    def card(self) -> Path:
        """The card for people, with the date; nothing reads it to serve."""
        return self.path / "card.json"

    @property
    def golden(self) -> Path:
        """The golden rows, see `artifact.golden`."""
        return self.path / "golden.npz"

    @property
    def snapshots(self) -> Path:
        """The network after some epochs of its training, see `artifact.snapshots`; not every version has them."""
        return self.path / "snapshots.npz"

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
        """Write `golden.npz`, see `artifact.golden`."""
        write_golden(self.golden, golden)

    def read_golden(self) -> Golden:
        """Read `golden.npz`; raises `GoldenError`."""
        return read_golden(self.golden)


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


def default_model(names: Collection[str]) -> str:
    """The model that is meant where none is named: the first of `PREFERRED_MODELS`, else the first by name, else ""."""
    return next((name for name in PREFERRED_MODELS if name in names), min(names, default=""))


def is_version(text: str) -> bool:
    """Whether `text` is a version as a folder or a request writes it: 1, 2, …, without leading zeros."""
    return text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= 10 and int(text) <= MAX_VERSION
