"""The finished table, in each format: the same values, null where there are none."""

import csv
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from scoring.chunk import Chunk, ErrorKind, RowError
from scoring.writers import parquet
from scoring.writers.columns import Columns, margins
from scoring.writers.write import FORMATS, format_of, write_table
from tests.unit.scoring.jobs import SHAPE

NAMES = ['a "b".png', "ü,\n.png", "", "d\\.png"]


def batches(columns: Columns):
    for index in range(3):
        scores = np.random.default_rng(index).random((4, 10), np.float32)
        scores[0, 3] = 1.5
        ids = NAMES if columns.named else range(4 * index, 4 * index + 4)
        errors = {2: RowError(ErrorKind.IMAGE, 'no "image",\nat all')} if index == 1 else {}
        chunk = Chunk(index, 4 * index, np.zeros((4, 64), np.uint8), ids, errors, None)
        yield columns.batch(chunk, scores.argmax(axis=1), scores)


def read(file, format_):
    """All values as Python has them."""
    if format_ == "parquet":
        return pq.read_table(file).to_pylist()
    if format_ == "jsonl":
        return [json.loads(line) for line in file.read_text().split("\n")[:-1]]
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_holds_the_same_table(format_, named, tmp_path):
    """To the last bit of a score; names with quotes, commas and line ends among them."""
    columns = Columns(named, SHAPE, top_k=2)
    file = tmp_path / "out"
    write_table(batches(columns), file, format_, columns.table, {})
    rows = read(file, format_)
    expected = [row for batch in batches(columns) for row in batch.select(columns.table.names).to_pylist()]
    assert len(rows) == len(expected) == 12
    for row, wanted in zip(rows, expected, strict=True):
        assert list(row) == columns.table.names
        for key, value in wanted.items():
            found = row[key]
            if format_ == "csv":
                assert (found == "") == (value is None or value == "")
                found = type(value)(found) if found != "" else value
            if isinstance(value, float):
                assert np.float32(found) == np.float32(value)
            else:
                assert found == value, key


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_rows_give_the_same_bytes(format_, tmp_path):
    """Whenever they are written."""
    columns = Columns(False, SHAPE)
    for name in "ab":
        write_table(batches(columns), tmp_path / name, format_, columns.table, {"model": "m"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_table_without_rows(format_, tmp_path):
    """Is a file all the same."""
    columns = Columns(False, SHAPE)
    write_table([], tmp_path / "out", format_, columns.table, {})
    assert read(tmp_path / "out", format_) == []


def test_row_groups_are_of_whole_batches(tmp_path, monkeypatch):
    """And as large as they should be, the last one excepted."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 6)
    columns = Columns(False, SHAPE)
    write_table(batches(columns), tmp_path / "out", "parquet", columns.table, {})
    file = pq.ParquetFile(tmp_path / "out")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [8, 4]


def test_margins_and_best_digits():
    """Margin is the best score minus the second best; of equal scores the first comes first."""
    scores = np.random.default_rng(0).random((500, 10), np.float32)
    scores[7] = 0.25
    ordered = np.sort(scores, axis=1)
    np.testing.assert_array_equal(margins(np.ascontiguousarray(scores.T)), ordered[:, -1] - ordered[:, -2])
    columns = Columns(False, replace(SHAPE, labels=tuple(range(10, 20))), top_k=3)
    chunk = Chunk(0, 0, np.zeros((500, 64), np.uint8), range(500), {}, None)
    batch = columns.batch(chunk, scores.argmax(axis=1) + 10, scores)
    assert [batch.column(f"top_{place}")[7].as_py() for place in (1, 2, 3)] == [10, 11, 12]
    np.testing.assert_array_equal(batch.column("top_1").to_numpy(), batch.column("digit").to_numpy())
    np.testing.assert_array_equal(batch.column("top_3").to_numpy(), np.argsort(-scores, kind="stable")[:, 2] + 10)


def test_scores_of_another_shape_are_refused():
    """Rather than be put beside the wrong rows."""
    chunk = Chunk(0, 0, np.zeros((3, 64), np.uint8), range(3), {}, None)
    with pytest.raises(ValueError, match=r"\[2, 10\], expected \[3, 10\]"):
        Columns(False, SHAPE).batch(chunk, np.zeros(2, int), np.zeros((2, 10), np.float32))


@pytest.mark.parametrize(
    ("name", "format_"),
    [("a.parquet", "parquet"), ("a.CSV", "csv"), ("a.jsonl", "jsonl"), ("a.txt", None), ("a", None)],
)
def test_the_format_goes_by_the_ending(name, format_, tmp_path):
    assert format_of(tmp_path / name) == format_
