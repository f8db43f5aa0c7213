"""Every row is read by itself: what stands in other rows, and which parser takes a line, changes nothing of it."""

import json
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging.prepare import Prepared
from scoring.chunk import UNKNOWN, InputError, Shape
from scoring.readers.labels.labels import Labels
from scoring.readers.open import open_inputs
from scoring.readers.tables import csv
from tests.unit.scoring import formats

SHAPE = Shape(1, 3, 255, tuple(range(10)), tuple("0123456789"), lambda _: Prepared(np.zeros(3, np.uint8), ()))

# What stands for the label 7 in text, and what for none.
SEVENS = ("7", "07", " 7", "7 ", "+7", "7.0", "7.", "7.000000000000000000e+00", '"7"', ' "7.0"')
NONES = ("", " ", "nan", "NaN", "NA", "null", '""')
WRONG = ("seven", "7.5", "-1", "10", "1_0", "inf", "0x7", "True")
LABELS = st.sampled_from([*map(str, range(10)), *SEVENS, *NONES, *WRONG])
PIXELS = st.one_of(
    st.integers(0, 255).map(str),
    st.sampled_from(
        ["0", "255", "7.0", "7.000e+00", " 7", "7 ", "+7", '"7"', "0007", "1_0", "", "x", "-1", "256", "nan"]
    ),
)
LINES = st.lists(
    st.one_of(
        st.tuples(LABELS, st.sampled_from(["", "a", "b\rc", '"x,y"', "7.0"]), PIXELS, PIXELS, PIXELS).map(list),
        st.lists(PIXELS, max_size=7),
    ),
    min_size=1,
    max_size=8,
)

# Labels are found by their name, or asked for.
ASKED = st.sampled_from([{}, {"labels": "label"}])

JSON_LABELS = [7, 7.0, "7", "7.0", " 7", True, [7], [0] * 7 + [1, 0, 0], None, "", float("nan")]
JSON_LABELS += ["seven", 7.5, 10, 10**400, {}, [], [0] * 10, [None] * 10]

Row = tuple[list[int], int, tuple[str, str] | None]


def rows_of(file: Path, **options: str) -> list[Row]:
    """Of each row the pixels, the label and the error, without where it stands."""
    rows = []
    for chunk in open_inputs([str(file)], SHAPE, **options).chunks(3):
        for row, pixels in enumerate(chunk.pixels.tolist()):
            error = chunk.errors.get(row)
            said = None if error is None else (error.kind, error.message.rpartition("line ")[2].partition(":")[2])
            rows.append((pixels, UNKNOWN if chunk.labels is None else int(chunk.labels[row]), said))
    return rows


def together_and_alone(read: Callable[[list], list], records: list) -> list | None:
    """Each record gives the same among the others as by itself; one that is refused refuses all.

    What is given for all, None where that is refused.
    """

    def or_refused(records: list) -> list | None:
        try:
            return read(records)
        except InputError:
            return None

    alone = [or_refused([record]) for record in records]
    good = [record for record, found in zip(records, alone, strict=True) if found is not None]
    if good:
        assert or_refused(good) == [row for found in alone if found is not None for row in found]
    found = or_refused(records)
    assert (found is None) == (len(good) < len(records))
    return found


@pytest.fixture(scope="module")
def file():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "a"


@pytest.mark.parametrize("delimiter", [",", ";", " "])
@given(ASKED, LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_a_line_of_csv_is_read_by_itself(file, delimiter, asked, lines, end, marked):
    """By either parser, whatever the lines around it are, and with a byte order mark before the names."""

    def read(lines: list[list[str]]) -> list[Row]:
        names = ["label", "note", "pixel0", "pixel1", "pixel2"]
        text = end.join(delimiter.join(line) for line in [names, *lines, ["0"] * 5]) + end
        file.write_bytes(text.encode("utf-8-sig" if marked else "utf-8"))
        return rows_of(file, **asked)[: len(lines)]

    found = together_and_alone(read, lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv, "parse_plain", lambda *_: None)
        assert found == together_and_alone(read, lines)


@pytest.mark.parametrize("text", SEVENS)
def test_a_label_in_any_spelling(text, file):
    """As pandas, numpy.savetxt and people write it, among others and alone, in CSV and in a file of labels."""
    others = [f"{label},0,0,0" for label in range(10)]
    file.write_text("\n".join(["label,p0,p1,p2", *others, f"{text},0,0,0", *others]))
    expected = [*range(10), 7, *range(10)]
    for asked in ({}, {"labels": "label"}):
        assert [label for _, label, _ in rows_of(file, **asked)] == expected
    labels = file.with_name("labels")
    labels.write_text("\n".join([*map(str, range(10)), text.replace('"', ""), *map(str, range(10))]))
    assert [label for _, label, _ in rows_of(file, labels=str(labels))] == expected


@given(
    ASKED,
    st.lists(
        st.fixed_dictionaries(
            {
                "pixels": st.lists(
                    st.sampled_from([0, 7, 7.0, 255, True, 0.5, -1, 256, None, "7", 10**400]), min_size=3, max_size=3
                )
            },
            optional={"label": st.sampled_from(JSON_LABELS)},
        ),
        min_size=1,
        max_size=8,
    ),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_a_line_of_json_is_read_by_itself(file, asked, records):
    """Also where only some have labels, or some have a list for one."""

    def read(records: list[dict]) -> list[Row]:
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
        return rows_of(file, **asked)

    together_and_alone(read, records)


COLUMNS = {
    "int": (st.integers(-2, 12), pa.int64()),
    "float": (st.sampled_from([0.0, 7.0, 7.5, float("nan"), float("inf"), -1.0]), pa.float64()),
    "half": (st.sampled_from([np.float16(0), np.float16(7), np.float16(7.5)]), pa.float16()),
    "bool": (st.booleans(), pa.bool_()),
    "text": (st.sampled_from(["0", "7", " 7", "7.0", "seven", "", "nan"]), pa.string()),
    "view": (st.sampled_from(["0", "7", "7.0", "seven"]), pa.string_view()),
    "bytes": (st.sampled_from([b"0", b"7", b"7.0", b"seven", b"\xff"]), pa.binary()),
    "decimal": (st.sampled_from([Decimal("0.0"), Decimal("7.0"), Decimal("7.5")]), pa.decimal128(5, 1)),
    "categories": (st.sampled_from(["0", "7", "7.0", "seven"]), pa.dictionary(pa.int32(), pa.string())),
    "lists": (st.sampled_from([[7], [0] * 7 + [1, 0, 0], [0] * 10, []]), pa.list_(pa.int64())),
}


@pytest.mark.parametrize("kind", COLUMNS)
@given(ASKED, st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
def test_a_label_of_parquet_is_read_by_itself(file, kind, asked, data):
    """Of whatever type the column is, with nulls among the labels or without."""
    values, type_ = COLUMNS[kind]
    labels = data.draw(st.lists(st.one_of(st.none(), values), min_size=1, max_size=8))

    def read(labels: list) -> list[Row]:
        pixels = pa.array([b"abc"] * len(labels))
        return rows_of(formats.parquet(file, {"pixels": pixels, "label": pa.array(labels, type_)}), **asked)

    together_and_alone(read, labels)


ARRAYS = st.sampled_from(
    [
        np.arange(-2, 12),
        np.arange(0, 255, dtype=np.uint8),
        np.array([0, 7, 7.5, np.nan, np.inf]),
        np.array([0, 7, np.nan], np.float16),
        np.array(["0", "7", "7.0", " 7", "seven", "nan", ""]),
        np.array([b"0", b"7", b"7.0", b"seven"]),
        np.array([True, False]),
        np.eye(10),
        np.eye(10, dtype=bool),
        np.concatenate([np.eye(10), np.full((3, 10), np.nan), np.ones((1, 10))]),
        np.arange(-2, 12)[:, None],
    ]
)


@pytest.mark.parametrize("strict", [True, False])
@given(ARRAYS, st.lists(st.integers(0, 300), min_size=1, max_size=8))
def test_a_label_of_an_array_is_read_by_itself(strict, values, rows):
    """As an array, as the list of its rows, and row by row."""
    labels = Labels(SHAPE, strict=strict)
    values = values[[row % len(values) for row in rows]]
    found = together_and_alone(lambda rows: labels.read(np.array(rows), str).tolist(), list(values))
    assert found == together_and_alone(lambda rows: labels.read(rows, str).tolist(), values.tolist())


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.npz"])
def test_a_missing_label_takes_no_other(name, digits, small, tmp_path):
    """In each format: all others are there, asked for or not."""
    pixels, labels = digits[0][:100], digits[1][:100].astype(float)
    labels[3] = np.nan
    if name == "a.csv":
        file = formats.csv(
            tmp_path / name, np.c_[labels, pixels], names=["label", *(f"p{n}" for n in range(64))], fmt="%s"
        )
    elif name == "a.jsonl":
        file = tmp_path / name
        rows = zip(pixels.tolist(), labels.tolist(), strict=True)
        file.write_text(
            "".join(
                json.dumps({"pixels": row} | ({"label": label} if label == label else {})) + "\n" for row, label in rows
            )
        )
    elif name == "a.parquet":
        file = formats.parquet(tmp_path / name, formats.raw(pixels) | {"label": pa.array(labels, from_pandas=True)})
    else:
        file = tmp_path / name
        np.savez(file, x=pixels, label=labels)
    expected = [UNKNOWN if row == 3 else int(label) for row, label in enumerate(labels)]
    for asked in ({}, {"labels": "label"} if name != "a.jsonl" else {}):
        found = [int(each) for chunk in open_inputs([str(file)], small, **asked).chunks(30) for each in chunk.labels]
        assert found == expected


def test_the_label_of_the_first_line_of_json_decides_for_no_other(digits, small, tmp_path):
    """It may have none, or be no JSON at all."""
    lines = [json.dumps({"pixels": row.tolist(), "Label": int(label)}) for row, label in zip(*digits, strict=True)][:20]
    for first in ("{", json.dumps(digits[0][0].tolist())):
        file = tmp_path / "a.jsonl"
        file.write_text("\n".join([first, *lines]))
        [chunk] = open_inputs([str(file)], small).chunks(100)
        assert chunk.labels.tolist() == [UNKNOWN, *digits[1][:20].tolist()]


def test_a_bad_pixel_leaves_the_label_of_its_row_and_of_others(digits, small, tmp_path):
    """In CSV, where numbers with a point are not read at once with the others."""
    file = formats.csv(
        tmp_path / "a.csv",
        np.c_[digits[1], digits[0]][:100],
        names=["label", *(f"p{n}" for n in range(64))],
        fmt="%.2f",
    )
    lines = file.read_text().splitlines()
    lines[4] = lines[4].rpartition(",")[0] + ",x"
    file.write_text("\n".join(lines))
    [chunk] = open_inputs([str(file)], small).chunks(100)
    assert set(chunk.errors) == {3}
    np.testing.assert_array_equal(chunk.labels, digits[1][:100])
