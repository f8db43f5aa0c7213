"""Options from Python: whatever cannot be one is named before anything is read or written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoring import score
from tests.support.server import MODELS
from tests.unit.scoring import formats

ADDRESS = "127.0.0.1:1"


@pytest.fixture
def file(tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]) -> Path:
    (tmp_path / "in").mkdir()
    return formats.npy(tmp_path / "in" / "a.npy", digits[0][:10])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"format": "xml"}, "format is 'xml', expected parquet, csv or jsonl"),
        ({"format": 3}, "format is 3, expected parquet"),
        ({"format": ""}, "format is '', expected parquet"),
        ({"chunk_rows": 0}, "chunk_rows is 0, expected at least 1"),
        ({"chunk_rows": -5}, "chunk_rows is -5, expected at least 1"),
        ({"top_k": -1}, "top_k is -1, expected at least 0"),
        ({"top_k": 11}, "top_k is 11, and digits-8x8 version 1 has 10 classes"),
        ({"on_error": "ignore"}, "on_error is 'ignore', expected fail or record"),
        ({"provider": "tpu"}, "provider is 'tpu', expected cpu, cuda or auto"),
        ({"labels": ""}, "labels is '', expected a name or a path"),
        ({"models": ""}, "models is '', expected a path"),
        ({"server": ADDRESS, "models": None, "calls": 0}, "calls is 0, expected at least 1 and at most 256"),
        ({"server": ADDRESS, "models": None, "calls": 257}, "calls is 257, expected at least 1 and at most 256"),
        ({"server": ADDRESS, "models": None, "patience": 0}, "patience is 0 s, expected more than 0"),
        ({"server": ADDRESS, "models": None, "patience": float("nan")}, "patience is nan s, expected more than 0"),
        ({"server": ADDRESS}, "models cannot be combined with server, which has its own models"),
        ({"server": ADDRESS, "models": None, "provider": "cpu"}, "provider cannot be combined with server"),
        (
            {"server": ADDRESS, "models": None, "require_provider": True},
            "require_provider cannot be combined with server",
        ),
        ({"server": "no/address", "models": None}, "the server's address is 'no/address', expected HOST:PORT"),
    ],
)
def test_a_value_out_of_bounds_is_named(options: dict[str, Any], sentence: str, file: Path, tmp_path: Path):
    """With what was expected, and nothing is left behind."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the whole sentence is compared below
        score(file, tmp_path / "out.csv", **{"models": MODELS, "model": "digits-8x8"} | options)
    assert str(caught.value).startswith(sentence)
    assert list(tmp_path.iterdir()) == [file.parent]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"chunk_rows": 2.5}, "chunk_rows is 2.5, expected a whole number"),
        ({"chunk_rows": "10"}, "chunk_rows is '10', expected a whole number"),
        ({"top_k": True}, "top_k is True, expected a whole number"),
        ({"top_k": None}, "top_k is None, expected a whole number"),
        ({"resume": "no"}, "resume is 'no', expected True or False"),
        ({"show": 1}, "show is 1, expected True or False"),
        ({"require_provider": None}, "require_provider is None, expected True or False"),
        ({"model": None}, "model is None, expected text"),
        ({"model": 2}, "model is 2, expected text"),
        ({"models": 5}, "models is 5, expected a path"),
        ({"pixels": 7}, "pixels is 7, expected text"),
        ({"labels": np.arange(10)}, "labels is array"),
        ({"calls": "4"}, "calls is '4', expected a whole number"),
        ({"patience": "60"}, "patience is '60', expected a number of seconds"),
        ({"shared_memory": None}, "shared_memory is None, expected text"),
        ({"server": 8001, "models": None}, "the server's address is 8001, expected text"),
    ],
)
def test_a_value_of_another_kind_is_named(options: dict[str, Any], sentence: str, file: Path, tmp_path: Path):
    """Rather than taken for what it is not."""
    with pytest.raises(TypeError) as caught:
        score(file, tmp_path / "out.csv", **{"models": MODELS, "model": "digits-8x8"} | options)
    assert str(caught.value).startswith(sentence)
    assert list(tmp_path.iterdir()) == [file.parent]


@pytest.mark.parametrize(
    ("inputs", "error", "sentence"),
    [
        ([], ValueError, "there are no inputs, expected at least one"),
        ("", ValueError, "inputs is '', expected a path"),
        (["a.npy", ""], ValueError, r"inputs\[1\] is '', expected a path"),
        (["a\0.npy"], ValueError, r"inputs\[0\] is 'a\\x00.npy', expected a path"),
        (b"a.npy", TypeError, "inputs is b'a.npy', expected a path or several"),
        ([b"a.npy"], TypeError, r"inputs\[0\] is b'a.npy', expected a path"),
        (None, TypeError, "inputs is None, expected a path or several"),
        (["a.npy", 3], TypeError, r"inputs\[1\] is 3, expected a path"),
    ],
)
def test_inputs_are_paths(inputs: Any, error: type[Exception], sentence: str, tmp_path: Path):
    """An empty one is no folder, least of all the one that this process happens to be in."""
    with pytest.raises(error, match=sentence):
        score(inputs, tmp_path / "out.csv", models=MODELS)
    for output in (None, 5, b"out.csv"):
        with pytest.raises(TypeError, match=r"output is .*, expected a path"):
            score("a.npy", output, models=MODELS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="output is '', expected a path"):
        score("a.npy", "", models=MODELS, format="csv")
    assert list(tmp_path.iterdir()) == []


def test_numbers_and_paths_of_any_kind_are_taken(file: Path, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path):
    """Whole numbers of NumPy, paths as objects, inputs that are made one by one."""
    labels = formats.npy(tmp_path / "labels.npy", digits[1][:20])
    summary = score(
        (each for each in (file, str(file))),
        tmp_path / "out.csv",
        model="digits-8x8",
        models=MODELS,
        labels=labels.parent / labels.name,
        chunk_rows=np.int64(4),
        top_k=np.uint8(2),
        calls=np.int32(3),
        patience=np.float32(2.5),
    )
    assert summary.rows == summary.labelled == 20
