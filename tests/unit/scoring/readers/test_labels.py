"""Labels in JSON lines, one-hot labels, and files of labels as other programs write them."""

import json
import sys
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest

from scoring.chunk import FOREIGN, UNKNOWN, InputError
from scoring.readers.open import open_inputs
from tests.unit.scoring import formats


def read(inputs, shape, **options):
    """The labels of all rows; None where there are none."""
    opened = open_inputs([str(each) for each in inputs], shape, **options)
    chunks = list(opened.chunks(16))
    return [int(label) for chunk in chunks for label in chunk.labels] if opened.labelled else None


@pytest.fixture
def pixels(digits):
    return digits[0][:40]


@pytest.fixture
def labels(digits):
    return digits[1][:40].tolist()


def write_lines(file, pixels, fields):
    """A line for each row, an object of its pixels and these fields, or the pixels alone for None."""
    rows = [
        row.tolist() if more is None else {"pixels": row.tolist()} | more
        for row, more in zip(pixels, fields, strict=True)
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def test_labels_are_a_field_of_json(pixels, labels, small, tmp_path):
    """Called so, or named; where nobody knows it is null, in the first line as well."""
    shown = [None, *labels[1:]]
    expected = [UNKNOWN, *labels[1:]]
    for name in ("label", "labels", "y"):
        file = write_lines(tmp_path / "a.jsonl", pixels, [{name: label} for label in shown])
        assert read([file], small) == expected
    file = write_lines(tmp_path / "a.jsonl", pixels, [{"truth": label} for label in shown])
    assert read([file], small) == [UNKNOWN] * len(labels)
    assert read([file], small, labels="truth") == expected


@pytest.mark.parametrize("more", [{}, {"Truth": 1}, None])
def test_a_field_of_labels_that_no_line_has_is_refused(more, pixels, small, tmp_path, monkeypatch):
    """With the first line, before there is anything of the job: as a column that a table has not."""
    file = write_lines(tmp_path / "a.jsonl", pixels, [more] * len(pixels))
    with pytest.raises(InputError, match=r"a\.jsonl, line 1: it has no field truth for labels, expected one"):
        open_inputs([str(file)], small, labels="truth")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(file.read_bytes())))
    with pytest.raises(InputError, match="standard input, line 1: it has no field truth for labels"):
        open_inputs(["-"], small, labels="truth")


def test_a_line_without_the_field_of_labels_is_refused(pixels, labels, small, tmp_path):
    """As a line of CSV that has a field too few; what was found by its name alone may be missing."""
    fields = [{"label": label} for label in labels]
    fields[20] = {}
    file = write_lines(tmp_path / "a.jsonl", pixels, fields)
    with pytest.raises(InputError, match=r"a\.jsonl, line 21: it has no field label for labels"):
        read([file], small, labels="label")
    assert read([file], small) == [*labels[:20], UNKNOWN, *labels[21:]]


def test_a_line_that_is_no_json_has_an_error_of_its_own(pixels, labels, small, tmp_path):
    """It says nothing of labels, whether it is the first or not."""
    for bad in (0, 5):
        file = write_lines(tmp_path / "a.jsonl", pixels, [{"truth": label} for label in labels])
        lines = file.read_text().splitlines(keepends=True)
        lines[bad] = "{\n"
        file.write_text("".join(lines))
        expected = [*labels]
        expected[bad] = UNKNOWN
        assert read([file], small, labels="truth") == expected


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("name", ["y", "truth"])
def test_one_hot_labels_are_labels(name, dtype, pixels, labels, small, tmp_path):
    """Of an .npz or in a file of their own: a 1 for the class, 0 for each other."""
    hot = np.eye(10)[labels].astype(dtype)
    np.savez(tmp_path / "a.npz", x=pixels, **{name: hot})
    assert read([tmp_path / "a.npz"], small, labels=name) == labels
    assert read([tmp_path / "a.npz"], small) == (labels if name == "y" else None)
    array = formats.npy(tmp_path / "a.npy", pixels)
    for order in "CF":
        file = formats.npy(tmp_path / "labels.npy", np.asarray(hot, order=order))
        assert read([array], small, labels=str(file)) == labels
    file = write_lines(tmp_path / "a.jsonl", pixels, [{name: row.tolist()} for row in np.eye(10)[labels].astype(int)])
    assert read([file], small, labels=name) == labels


def test_labels_in_a_column_of_their_own(pixels, labels, small, tmp_path):
    """[N, 1], as some data sets have them, is [N]."""
    np.savez(tmp_path / "a.npz", x=pixels, y=np.array(labels)[:, None])
    assert read([tmp_path / "a.npz"], small) == labels


@pytest.mark.parametrize("row", [[0.0] * 10, [0.5, 0.5] + [0.0] * 8, [1.0, 1.0] + [0.0] * 8, [1.0, 0.1] + [0.0] * 8])
def test_rows_that_are_not_one_hot(row, pixels, labels, small, tmp_path):
    """Asked for, they end the job with the row; found by their name alone, they are passed over like any such label."""
    hot = np.eye(10)[labels]
    hot[7] = row
    np.savez(tmp_path / "a.npz", x=pixels, y=hot)
    assert read([tmp_path / "a.npz"], small) == [*labels[:7], FOREIGN, *labels[8:]]
    with pytest.raises(InputError, match=r"a\.npz, array y, row 7: the label is \[.*, expected one of 0, 1, .*or a 1"):
        read([tmp_path / "a.npz"], small, labels="y")


def test_arrays_that_are_no_labels(pixels, small, tmp_path):
    """Of another width: refused where they were asked for, else something that only has the name."""
    np.savez(tmp_path / "a.npz", x=pixels, y=np.zeros((40, 3)))
    assert read([tmp_path / "a.npz"], small) is None
    with pytest.raises(InputError, match=r"array y has the shape \[40, 3\], expected \[40\], or \[40, 10\] with a 1"):
        read([tmp_path / "a.npz"], small, labels="y")
    file = formats.npy(tmp_path / "labels.npy", np.zeros((40, 3)))
    with pytest.raises(InputError, match=r"labels\.npy, row 0: the label is \[0\.0, 0\.0, 0\.0\], expected one of 0"):
        read([formats.npy(tmp_path / "a.npy", pixels)], small, labels=str(file))


@pytest.mark.parametrize("name", ["y", "truth"])
def test_a_column_of_lists_holds_labels_like_an_array(name, pixels, labels, small, tmp_path):
    """Rows with a 1 for the class, asked for or called so; others are refused with the row."""
    hot = np.eye(10, dtype=int)[labels].tolist()
    hot[3] = None
    file = formats.parquet(tmp_path / "a.parquet", formats.raw(pixels) | {name: hot})
    assert read([file], small, labels=name) == [*labels[:3], UNKNOWN, *labels[4:]]
    assert read([file], small, pixels="pixels") == (None if name == "truth" else read([file], small, labels=name))
    hot[5] = [0, 1]
    file = formats.parquet(tmp_path / "a.parquet", formats.raw(pixels) | {name: hot})
    with pytest.raises(InputError, match=rf"row 5, column {name}: the label is \[0, 1\], expected one of .*or a 1"):
        read([file], small, labels=name)


def test_text_with_a_byte_order_mark(pixels, labels, small, tmp_path):
    """As editors on Windows write it before the first label."""
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(map(str, labels)), encoding="utf-8-sig")
    assert read([formats.npy(tmp_path / "a.npy", pixels)], small, labels=str(file)) == labels
