"""A fitted classifier in a file: read without running code from it, written with reproducible bytes."""

import io
import itertools
import re
import zipfile
from pathlib import Path
from typing import Any

# Allowed types beyond those that skops trusts by default.
_TRUSTED = (
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)
_RUNS_CODE = (".joblib", ".pkl", ".pickle")


class FittedFileError(ValueError):
    """The file cannot be read, or must not be read; the message says why."""


def read_fitted(file: Path, *, trust: bool = False) -> Any:
    """The object in `file`: `.skops`, or with `trust` a pickle (`.joblib`, `.pkl`), which runs code from it.

    Raises `FittedFileError`, also for a `.skops` file with types of other libraries than scikit-learn and NumPy.
    """
    if not file.is_file():
        raise FittedFileError(f"{file} is not there" if not file.exists() else f"{file} is not a file")
    if file.suffix == ".skops":
        return _read_skops(file)
    if file.suffix not in _RUNS_CODE:
        raise FittedFileError(f"{file} is neither .skops nor {', '.join(_RUNS_CODE)}")
    if not trust:
        raise FittedFileError(
            f"reading {file} runs the code in it; pass --trust if you trust its author, or use a .skops file"
        )
    import joblib

    try:
        return joblib.load(file)
    except Exception as error:  # a pickle raises any type
        raise FittedFileError(f"{file} cannot be read: {_one_line(error)}") from None


def _read_skops(file: Path) -> Any:
    import skops.io

    try:
        strangers = set(skops.io.get_untrusted_types(file=file)) - set(_TRUSTED)
    except Exception as error:  # a damaged zip raises many types
        raise FittedFileError(f"{file} is no skops file: {_one_line(error)}") from None
    if strangers:
        raise FittedFileError(f"{file} holds types that may run code when it is read: {', '.join(sorted(strangers))}")
    try:
        return skops.io.load(file, trusted=list(_TRUSTED))
    except Exception as error:
        raise FittedFileError(f"{file} cannot be read: {_one_line(error)}") from None


def skops_bytes(classifier: Any) -> bytes:
    """`classifier` as a skops file; the same classifier gives the same bytes.

    skops numbers objects and files by their addresses in memory and stores the time of each file. Addresses become
    numbers in the order of appearance, the time becomes the earliest of the zip format. An object that appears twice
    gets two numbers, because whether equal values are one object depends on the history of the classifier.
    """
    import skops.io

    raw = zipfile.ZipFile(io.BytesIO(skops.io.dumps(classifier)))
    objects = itertools.count(1)
    schema = re.sub(r'(?<="__id__": )\d+', lambda _: str(next(objects)), raw.read("schema.json").decode())
    files: dict[str, str] = {}
    schema = re.sub(
        r'(?<="file": ")\d+(?=\.npy")', lambda found: files.setdefault(found[0], str(len(files) + 1)), schema
    )
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as target:

        def add(name: str, content: bytes | str) -> None:
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

        add("schema.json", schema)
        for old, new in files.items():
            add(f"{new}.npy", raw.read(f"{old}.npy"))
    return written.getvalue()


def _one_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
