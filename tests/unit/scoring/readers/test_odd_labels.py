"""Labels that mean no class, are not there, or mean another class in other words: none is counted as what it is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring import InputError, score
from scoring.chunk import FOREIGN, UNKNOWN
from scoring.readers.open import open_inputs
from tests.support.server import MODELS
from tests.unit.scoring import formats

Digits = tuple[np.ndarray, np.ndarray]


def read(file: Path, shape, **options) -> list[int]:
    """The labels of all rows."""
    chunks = open_inputs([str(file)], shape, **options).chunks(16)
    return [int(label) for chunk in chunks for label in chunk.labels]


@pytest.fixture
def pixels(digits: Digits) -> np.ndarray:
    return digits[0][:4]


def write_csv(file: Path, pixels: np.ndarray, labels: list[str], quote: str = "") -> Path:
    head = ",".join(["label", *(f"pixel{place}" for place in range(64))])
    rows = [",".join([f"{quote}{label}{quote}", *map(str, row)]) for label, row in zip(labels, pixels, strict=True)]
    file.write_text("\n".join([head, *rows]) + "\n")
    return file


def test_a_class_that_is_no_number_takes_no_label_of_others(small, pixels, tmp_path):
    """Missing ones stay unknown, and foreign ones are refused where they were asked for."""
    shape = replace(small, classes=(*map(str, range(9)), "other"))
    file = write_csv(tmp_path / "a.csv", pixels, ["", "NA", "eight", "other"])
    assert read(file, shape) == [UNKNOWN, UNKNOWN, FOREIGN, 9]
    with pytest.raises(InputError, match="eight"):
        read(file, shape, labels="label")


@pytest.mark.parametrize("quote", ["", '"'], ids=["plain", "quoted"])
def test_classes_that_are_one_number_written_differently(small, pixels, quote, tmp_path):
    """Each label is the class that is written so, whichever parser reads its line."""
    shape = replace(small, classes=("7", "07", "7.0", *map(str, range(10, 17))))
    file = write_csv(tmp_path / "a.csv", pixels, ["7", "07", "7.0", "12"], quote)
    assert read(file, shape) == [0, 1, 2, 5]


def test_labels_that_mean_no_class_are_counted(digits: Digits, tmp_path: Path):
    """The summary says how many were passed over, for people and for machines."""
    file = write_csv(tmp_path / "a.csv", digits[0][:4], ["0", "ten", "11", ""])
    summary = score(file, tmp_path / "out.csv", models=MODELS, model="digits-8x8")
    assert (summary.labelled, summary.foreign_labels, summary.as_json()["foreign_labels"]) == (1, 2, 2)
    assert any(line.startswith("2 labels passed over") for line in summary.lines())


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "jsonl"])
def test_of_two_candidates_the_first_name_counts_in_every_format(kind, small, pixels, tmp_path):
    """`label` before `labels` before `y`."""
    file = tmp_path / f"a.{kind}"
    match kind:
        case "csv":
            names = ["y", "label", *(f"p{place}" for place in range(64))]
            formats.csv(file, np.c_[[9] * 4, [1, 2, 3, 4], pixels], names=names)
        case "parquet":
            pq.write_table(pa.table({"y": [9] * 4, "label": [1, 2, 3, 4], "image": pixels.tolist()}), file)
        case "npz":
            np.savez(file, y=[9] * 4, label=[1, 2, 3, 4], pixels=pixels)
        case "jsonl":
            lines = [f'{{"y": 9, "label": {place + 1}, "pixels": {row.tolist()}}}' for place, row in enumerate(pixels)]
            file.write_text("\n".join(lines))
    assert read(file, small) == [1, 2, 3, 4]


def test_none_takes_no_labels(small, pixels, tmp_path):
    """So that an array which only has the name does not end a job."""
    np.savez(tmp_path / "a.npz", pixels=pixels, labels=np.array([1, None, "x", 2], object))
    with pytest.raises(InputError, match="--labels none"):
        open_inputs([str(tmp_path / "a.npz")], small)
    assert not open_inputs([str(tmp_path / "a.npz")], small, labels="none").labelled


def test_arrays_in_a_folder_of_an_npz_have_their_names(small, pixels, tmp_path):
    """As a set has them that was unpacked and zipped again."""
    np.savez(tmp_path / "a.npz", **{"set/pixels": pixels, "set/labels": [4, 3, 2, 1], "set\\more": pixels})
    assert read(tmp_path / "a.npz", small) == [4, 3, 2, 1]


def test_an_array_of_images_counts_before_one_that_only_has_the_name(small, pixels, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array("text"), data=pixels)
    [chunk] = open_inputs([str(tmp_path / "a.npz")], small).chunks(16)
    np.testing.assert_array_equal(chunk.pixels, pixels)


def test_a_job_without_any_label_that_was_asked_for_leaves_nothing(digits: Digits, tmp_path: Path):
    """What to do next is another job, which finds no rest of this one in its way."""
    table = pa.table({"image": digits[0][:4].tolist(), "label": pa.nulls(4, pa.int32())})
    pq.write_table(table, tmp_path / "a.parquet")
    options = {"models": MODELS, "model": "digits-8x8"}
    with pytest.raises(InputError):
        score(tmp_path / "a.parquet", tmp_path / "out.csv", labels="label", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    assert score(tmp_path / "a.parquet", tmp_path / "out.csv", **options).rows == 4


@pytest.mark.parametrize("first", ["three", "NA", "nan", ""])
def test_a_first_line_with_a_label_in_words_is_data(first, small, pixels, tmp_path):
    """No names are there twice."""
    shape = replace(small, classes=("zero", "one", "two", "three", *map(str, range(4, 10))))
    rows = [",".join([label, *map(str, row)]) for label, row in zip([first, "one", "two", "4"], pixels, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    found = read(tmp_path / "a.csv", shape, labels="0")
    assert found == [3 if first == "three" else UNKNOWN, 1, 2, 4]


def test_empty_lines_behind_the_last_label_are_none(digits: Digits, tmp_path: Path):
    """They are neither rows nor an error; one too many that is a label still is."""
    np.save(tmp_path / "a.npy", digits[0][:4])
    options = {"models": MODELS, "model": "digits-8x8", "labels": tmp_path / "labels.txt"}
    (tmp_path / "labels.txt").write_text("0\n1\n2\n3\n\n\n")
    assert score(tmp_path / "a.npy", tmp_path / "out.csv", **options).labelled == 4
    (tmp_path / "labels.txt").write_text("0\n1\n2\n3\n4\n")
    with pytest.raises(InputError, match="5 labels, expected 4"):
        score(tmp_path / "a.npy", tmp_path / "more.csv", **options)


def test_a_tensor_in_another_order_is_not_read_as_it_lies(small, pixels, tmp_path):
    """It is refused, with its type."""
    kind = pa.fixed_shape_tensor(pa.uint8(), [8, 8], permutation=[1, 0])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 64)
    pq.write_table(pa.table({"pixels": pa.ExtensionArray.from_storage(kind, lists)}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no pixel columns"):
        open_inputs([str(tmp_path / "a.parquet")], small)


def test_a_glob_of_everything_below_counts_each_image_once(small, tmp_path):
    """Folders that it matches as well are not read again."""
    for name in ("a/1.png", "a/b/2.png", "3.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    for pattern in ("**", "**/*"):
        assert open_inputs([str(tmp_path / "in" / pattern)], small).rows == 3
