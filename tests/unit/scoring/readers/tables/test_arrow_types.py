"""Columns of Parquet of any type whose values are numbers, bytes, lists or image files, whatever holds them."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from scoring.chunk import UNKNOWN, ErrorKind, InputError
from scoring.readers.open import open_inputs
from scoring.readers.tables.arrow_storage import storage, stored
from tests.unit.scoring import formats

ROWS = 12


def cells(x):
    """What a row's pixels may be: bytes, lists, lists of lists."""
    rows = [row.tobytes() for row in x]
    lists = [row.tolist() for row in x]
    nested = [row.reshape(8, 8).tolist() for row in x]
    return {
        "categories of bytes": pa.array(rows).dictionary_encode(),
        "large bytes": pa.array(rows, pa.large_binary()),
        "views of bytes": pa.array(rows, pa.binary_view()),
        "struct of categories": pa.StructArray.from_arrays([pa.array(rows).dictionary_encode()], ["bytes"]),
        "struct of views": pa.StructArray.from_arrays([pa.array(rows, pa.binary_view())], ["bytes"]),
        "large lists": pa.array(lists, pa.large_list(pa.int32())),
        "views of lists": pa.array(lists, pa.list_view(pa.uint8())),
        "views of views": pa.array(nested, pa.large_list_view(pa.list_view(pa.uint8()))),
        "fixed lists of fixed lists": pa.array(nested, pa.list_(pa.list_(pa.uint8(), 8), 8)),
        "lists of half floats": pa.array([row.astype(np.float16) for row in x], pa.list_(pa.float16())),
        "lists of decimals": pa.array([[Decimal(n) for n in row] for row in lists], pa.list_(pa.decimal128(5, 2))),
        "tensors": pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(x.reshape(-1, 8, 8))),
    }


NUMBERS = {
    "half floats": lambda column: pa.array(column.astype(np.float16)),
    "decimals": lambda column: pa.array([Decimal(int(n)) for n in column], pa.decimal128(5, 2)),
    "wide decimals": lambda column: pa.array([Decimal(int(n)) for n in column], pa.decimal256(50, 2)),
    "categories": lambda column: pa.array(column.astype(float)).dictionary_encode(),
}

LABELS = NUMBERS | {
    "bytes": lambda column: pa.array([str(n).encode() for n in column]),
    "views of text": lambda column: pa.array([str(n) for n in column], pa.string_view()),
    "large text": lambda column: pa.array([f"{n}.0" for n in column], pa.large_string()),
    "categories of text": lambda column: pa.array([str(n) for n in column]).dictionary_encode(),
    "one-hot": lambda column: pa.array(np.eye(10, dtype=int)[column].tolist()),
}


@pytest.fixture
def pixels(digits):
    return digits[0][:ROWS]


def read(columns, shape, tmp_path, **options):
    # Arrow writes no views within structs in several groups.
    views = any("struct<bytes: binary_view>" in str(column.type) for column in columns.values())
    file = formats.parquet(tmp_path / "a.parquet", columns, group=100 if views else 5)
    chunks = list(open_inputs([str(file)], shape, **options).chunks(7))
    labels = [label for chunk in chunks if chunk.labels is not None for label in chunk.labels.tolist()]
    errors = {chunk.first_row + row: error for chunk in chunks for row, error in chunk.errors.items()}
    return np.concatenate([chunk.pixels for chunk in chunks]), labels, errors


@pytest.mark.parametrize("kind", cells(np.zeros((1, 64), np.uint8)))
def test_cells_of_any_type(kind, pixels, small, tmp_path):
    """Whole, and with a row that is null."""
    column = cells(pixels)[kind]
    found, _, errors = read({"image": column, "id": pa.array(range(ROWS))}, small, tmp_path)
    np.testing.assert_array_equal(found, pixels)
    assert not errors
    if isinstance(column, pa.ExtensionArray):
        return
    null = pa.concat_arrays([column[:4], pa.nulls(1, column.type), column[5:]])
    found, _, errors = read({"image": null}, small, tmp_path)
    assert {row: error.kind for row, error in errors.items()} == {4: ErrorKind.MISSING}
    np.testing.assert_array_equal(np.delete(found, 4, 0), np.delete(pixels, 4, 0))


def test_categories_of_image_files(pixels, small, tmp_path):
    """As pandas has them, with the same image several times."""
    files = [formats.png(row) for row in pixels[[0, 1, 0]]]
    inputs = formats.parquet(tmp_path / "a.parquet", {"image": pa.array(files).dictionary_encode()})
    opened = open_inputs([str(inputs)], small)
    assert opened.encoded
    [chunk] = opened.chunks(10)
    np.testing.assert_array_equal(chunk.pixels, [small.prepare(file).pixels for file in files])


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_any_type(kind, pixels, small, tmp_path):
    """A column for each pixel; one that is null is a missing pixel."""
    columns = {f"p{n}": NUMBERS[kind](pixels[:, n]) for n in range(64)}
    np.testing.assert_array_equal(read(columns, small, tmp_path)[0], pixels)
    columns["p9"] = pa.concat_arrays([columns["p9"][:3], pa.nulls(1, columns["p9"].type), columns["p9"][4:]])
    _, _, errors = read(columns, small, tmp_path)
    assert {row: error.kind for row, error in errors.items()} == {3: ErrorKind.MISSING}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("name", ["Label", "truth"])
def test_labels_of_any_type(kind, name, pixels, digits, small, tmp_path):
    """Called so or asked for, with nulls among them."""
    column = LABELS[kind](digits[1][:ROWS])
    null = pa.concat_arrays([column[:4], pa.nulls(1, column.type), column[5:]])
    expected = digits[1][:ROWS].tolist()
    for each, labels in ((column, expected), (null, [*expected[:4], UNKNOWN, *expected[5:]])):
        columns = formats.raw(pixels) | {name: each}
        assert read(columns, small, tmp_path, labels=name)[1] == labels
        assert read(columns, small, tmp_path, pixels="pixels")[1] == (labels if name == "Label" else [])


def test_types_that_parquet_does_not_have():
    """Runs, and bools in eight bits, are what they hold as well."""
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], [7, 8])
    assert stored(runs).to_pylist() == [7, 7, 8]
    bools = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8()))
    assert (storage(bools.type), stored(bools).to_pylist()) == (pa.bool_(), [True, False])


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"image": ["a.png"] * 3, "n": [1] * 3}, "n int64, image string"),
        ({f"pixel{n}": ["0"] * 3 for n in range(64)}, "pixel0 string, pixel1 string"),
        ({"image": pa.array([{"url": "a"}] * 3)}, r"image struct<url: string>"),
    ],
)
def test_a_refusal_names_the_columns_with_their_types(columns, told, small, tmp_path):
    """So that it can be seen why none of them is taken."""
    for options in ({}, {"pixels": "what"}, {"labels": "what"}):
        with pytest.raises(InputError, match=rf"its columns: {told}"):
            open_inputs([str(formats.parquet(tmp_path / "a.parquet", columns))], small, **options)
