"""Every bad input is told in one sentence: the file, the row, the column, what is there and what was expected."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from scoring.chunk import ErrorKind, InputError
from scoring.readers.open import open_inputs
from scoring.readers.tables import line_reader as lines
from tests.unit.scoring import formats

# What a pixel may not be -> what is said of it; the greatest is 16.
VALUES = {
    float("nan"): (ErrorKind.NAN, "the pixel is NaN"),
    -1: (ErrorKind.NEGATIVE, "the pixel is -1"),
    17: (ErrorKind.ABOVE, "the pixel is 17"),
    300: (ErrorKind.ABOVE, "the pixel is 300"),
    float("inf"): (ErrorKind.ABOVE, "the pixel is inf"),
    0.5: (ErrorKind.FRACTION, "the pixel is 0.5"),
}


def as_npy(file, values):
    return formats.npy(file, values), "row 5, column 33"


def as_csv(file, values):
    formats.csv(file, values, names=[f"p{n}" for n in range(64)], fmt="%g")
    return file, "line 7, column p33"


def as_columns(file, values):
    return formats.parquet(file, formats.columns(values)), "row 5, column pixel33"


def as_lists(file, values):
    return formats.parquet(file, {"pixels": pa.array(list(values))}), "row 5, column pixels, value 33"


def as_json(file, values):
    return formats.jsonl(file, values), "line 6, value 33"


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("write", [as_npy, as_csv, as_columns, as_lists, as_json])
def test_a_pixel_that_is_none_is_an_error_of_its_row(write, value, digits, small, tmp_path):
    """The row holds zeros and the others are untouched, whatever type the numbers have."""
    values = digits[0][:20].astype(np.int16 if isinstance(value, int) else np.float32)
    values[5, 33] = value
    values[5, 40] = -7  # the first one is told
    values[12, 0] = value
    file, place = write(tmp_path / "a.npy", values)
    [chunk] = open_inputs([str(file)], small).chunks(100)
    kind, sentence = VALUES[value]
    assert set(chunk.errors) == {5, 12}
    assert chunk.errors[5].kind == kind
    assert chunk.errors[5].message == f"{file}, {place}: {sentence}, expected a whole number in 0..16"
    expected = digits[0][:20].copy()
    expected[[5, 12]] = 0
    np.testing.assert_array_equal(chunk.pixels, expected)


def test_bytes_above_the_range(digits, small, tmp_path):
    """Raw bytes are held against the model's range too, and the file's view is not written to."""
    pixels = digits[0][:300].copy()
    pixels[222, 5] = 17
    for write, place in (
        (lambda: formats.idx(tmp_path / "b", pixels), "row 222, column 5"),
        (lambda: formats.parquet(tmp_path / "c", formats.raw(pixels)), "row 222, column pixels, byte 5"),
    ):
        file = write()
        [_, _, chunk] = open_inputs([str(file)], small).chunks(100)
        [(row, error)] = chunk.errors.items()
        assert row == 22
        assert error.message == f"{file}, {place}: the pixel is 17, expected a whole number in 0..16"
        assert not chunk.pixels[22].any()


@pytest.mark.parametrize(
    ("line", "kind", "sentence"),
    [
        ("1," * 62 + "1", ErrorKind.LENGTH, "line 2: it has 63 fields, expected 64"),
        ("1," * 64 + "1", ErrorKind.LENGTH, "line 2: it has 65 fields, expected 64"),
        ("", ErrorKind.LENGTH, "line 2: it has 0 fields, expected 64"),
        ("1,," + "1," * 61 + "1", ErrorKind.MISSING, "line 2, column 1: the pixel is missing, expected"),
        ("1,x y," + "1," * 61 + "1", ErrorKind.UNREADABLE, "line 2, column 1: 'x y' is no number, expected"),
        ("1,0x1," + "1," * 61 + "1", ErrorKind.UNREADABLE, "line 2, column 1: '0x1' is no number"),
        ("1,1.5.0," + "1," * 61 + "1", ErrorKind.UNREADABLE, "line 2, column 1: '1.5.0' is no number"),
        ("1,99999," + "1," * 61 + "1", ErrorKind.ABOVE, "line 2, column 1: the pixel is 99999, expected"),
        ('1,"1,' + "1," * 61 + '1"', ErrorKind.LENGTH, "line 2: it has 2 fields, expected 64"),
    ],
)
def test_lines_of_csv_that_are_none(line, kind, sentence, digits, small, tmp_path):
    """The line is named, and those around it are read."""
    rows = [",".join(map(str, row)) for row in digits[0][:40]]
    rows[1] = line
    file = tmp_path / "a.csv"
    file.write_text("\n".join(rows) + "\n\n\n")
    [chunk] = open_inputs([str(file)], small).chunks(100)
    [(row, error)] = chunk.errors.items()
    assert (row, error.kind) == (1, kind)
    assert error.message.startswith(f"{file}, {sentence}")
    expected = digits[0][:40].copy()
    expected[1] = 0
    np.testing.assert_array_equal(chunk.pixels, expected)


@pytest.mark.parametrize(
    "line",
    [
        " ".join(["1,"] * 63 + ["1"]),
        ",".join(["01"] * 64),
        ",".join(["0001"] * 64),
        ",".join(["+1"] * 64),
        ",".join(["1e0"] * 64),
        ",".join(["1.000"] * 64),
        ",".join(['"1"'] * 64),
    ],
)
def test_other_ways_to_write_a_whole_number(line, digits, small, tmp_path):
    """Taken as they are meant."""
    file = tmp_path / "a.csv"
    file.write_text(",".join(map(str, digits[0][0])) + "\n" + line)
    [chunk] = open_inputs([str(file)], small).chunks(100)
    assert not chunk.errors
    np.testing.assert_array_equal(chunk.pixels[1], np.ones(64))


def test_every_number_of_a_few_digits(tmp_path, large):
    """0 to 255 are pixels, all above are not, wherever in a line they are."""
    file = formats.csv(tmp_path / "a.csv", np.arange(784 * 3).reshape(3, 784)[:, ::-1] % 1200)
    [chunk] = open_inputs([str(file)], large).chunks(10)
    assert set(chunk.errors) == {0, 1, 2}
    values = np.zeros((1200, 784), np.int64)
    values[np.arange(1200), np.arange(1200) % 784] = np.arange(1200)
    [chunk] = open_inputs([str(formats.csv(tmp_path / "a.csv", values))], large).chunks(2000)
    np.testing.assert_array_equal(chunk.pixels[:256], values[:256])
    assert list(chunk.errors) == list(range(256, 1200))
    assert {error.kind for error in chunk.errors.values()} == {ErrorKind.ABOVE}


def test_a_quoted_delimiter_is_none(digits, small, tmp_path):
    """It does not stand in for a field that is missing."""
    file = tmp_path / "a.csv"
    names = ",".join(["a", "b", *(f"p{n}" for n in range(64))])
    rows = [",".join(map(str, row)) for row in digits[0][:2]]
    file.write_text(f'{names}\n"x,y",{rows[0]}\n"x,y",z,{rows[1]}\n')
    [chunk] = open_inputs([str(file)], small).chunks(10)
    assert {row: error.message for row, error in chunk.errors.items()} == {
        0: f"{file}, line 2: it has 65 fields, expected 66"
    }
    np.testing.assert_array_equal(chunk.pixels[1], digits[0][1])


def test_quoted_line_ends_are_no_rows(digits, small, tmp_path):
    """A text column may hold anything."""
    file = tmp_path / "a.csv"
    names = ",".join(["text", *(f"p{n}" for n in range(64))])
    file.write_text(
        names + "\n" + "".join(f'"a\n""b"", {n}",{",".join(map(str, row))}\n' for n, row in enumerate(digits[0][:30]))
    )
    chunks = list(open_inputs([str(file)], small).chunks(20))
    assert not any(chunk.errors for chunk in chunks)
    np.testing.assert_array_equal(np.concatenate([chunk.pixels for chunk in chunks]), digits[0][:30])


@pytest.mark.parametrize("quote", ['"1', '"a""b', '"x\ny","z', '"a""'])
def test_a_quote_without_its_pair_ends_the_job(quote, digits, small, tmp_path, monkeypatch):
    """The rows behind it are not passed over in silence: the sentence says where it was opened, however it is read."""
    names = ",".join(["text", "more", *(f"p{n}" for n in range(64))])
    rows = [f'"two\nlines",ok,{",".join(map(str, row))}' for row in digits[0][:30]]
    rows[20] = f"{quote},{','.join(map(str, digits[0][20]))}"
    rows[21:] = [f"a,b,{','.join(map(str, row))}" for row in digits[0][21:30]]
    file = tmp_path / "a.csv"
    file.write_text("\n".join([names, *rows]) + "\n")
    line = 2 + 2 * 20 + quote.count("\n")
    for size in (1 << 20, 700):
        monkeypatch.setattr(lines, "_READ_BYTES", size)
        chunks = open_inputs([str(file)], small).chunks(20)
        np.testing.assert_array_equal(next(chunks).pixels, digits[0][:20])
        with pytest.raises(InputError) as caught:
            list(chunks)
        assert str(caught.value).startswith(f"{file}, line {line}: its quotes do not pair")
    file.write_text(names.replace("text", '"text') + "\n" + "\n".join(rows[21:]))
    with pytest.raises(InputError, match="line 1: its quotes do not pair"):
        open_inputs([str(file)], small)


def test_a_quote_that_never_ends(digits, small, tmp_path, monkeypatch):
    """Is not waited for without end."""
    monkeypatch.setattr(lines, "_LONGEST", 1000)
    file = tmp_path / "a.csv"
    rows = [",".join(map(str, row)) for row in digits[0]]
    file.write_text("\n".join([rows[0], '"', *rows * 10]))
    with pytest.raises(InputError, match="has a line of more than 1000 bytes"):
        list(open_inputs([str(file)], small).chunks(20))


@pytest.mark.parametrize(
    ("line", "kind", "sentence"),
    [
        ("{", ErrorKind.UNREADABLE, "it is no JSON object or list"),
        ("7", ErrorKind.UNREADABLE, "it is no JSON object or list"),
        ("", ErrorKind.UNREADABLE, "it is no JSON object or list"),
        ('{"a": 1}', ErrorKind.MISSING, "it has no field pixels or image or img"),
        ('{"pixels": [1, 2]}', ErrorKind.LENGTH, "it has 2 pixels, expected 64 for images of 8×8"),
        ('{"pixels": [[1, 2], [3]]}', ErrorKind.LENGTH, "its lists are not of one length"),
        (
            '{"pixels": {"path": "a"}}',
            ErrorKind.UNREADABLE,
            "its pixels are an object with path, expected numbers, Base64",
        ),
        ('{"image": {"bytes": null}}', ErrorKind.MISSING, "its field image is empty, expected pixels, Base64"),
        ('[{"pixels": [1]}]', ErrorKind.UNREADABLE, "its pixels are a list of objects, expected numbers"),
        ('{"image": "data:image/png"}', ErrorKind.UNREADABLE, "its data: URL has no comma"),
        (json.dumps([None] * 64), ErrorKind.MISSING, "value 0: the pixel is missing"),
        (json.dumps([1] * 63 + ["x"]), ErrorKind.UNREADABLE, 'value 63: "x" is no number'),
        (json.dumps([1] * 63 + [10**30]), ErrorKind.ABOVE, "value 63: the pixel is 1e+30"),
        (json.dumps([1] * 63 + [10**310]), ErrorKind.ABOVE, "value 63: the pixel is inf"),
        (json.dumps([[1] * 8] * 7 + [[-(10**310)] * 8]), ErrorKind.NEGATIVE, "value 56: the pixel is -inf"),
        ('{"image": "?"}', ErrorKind.UNREADABLE, "its text is no Base64"),
        ('{"image": "AAAA"}', ErrorKind.IMAGE, "the bytes are not an image of a known format"),
        ("[" * 100_000, ErrorKind.UNREADABLE, "it is no JSON object or list"),
    ],
)
def test_lines_of_json_that_are_none(line, kind, sentence, digits, small, monkeypatch):
    """The line is named, and those around it are read."""
    text = f"{json.dumps(digits[0][0].tolist())}\n{line}\n{json.dumps(digits[0][2].tolist())}\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    [chunk] = open_inputs(["-"], small).chunks(100)
    assert set(chunk.errors) == {1}
    assert chunk.errors[1].kind == kind
    assert sentence in chunk.errors[1].message
    assert chunk.errors[1].message.startswith("standard input, line 2")
    np.testing.assert_array_equal(chunk.pixels, [digits[0][0], np.zeros(64), digits[0][2]])


def test_cells_of_parquet_that_are_none(digits, small, tmp_path):
    """Lists of another length, null, and null among the numbers."""
    cells = [row.tolist() for row in digits[0][:6]]
    cells[1], cells[2], cells[4] = cells[1][:63], None, [None, *cells[4][1:]]
    file = formats.parquet(tmp_path / "a.parquet", {"pixels": pa.array(cells)})
    [chunk] = open_inputs([str(file)], small).chunks(100)
    assert {row: error.message for row, error in chunk.errors.items()} == {
        1: f"{file}, row 1, column pixels: it has 63 pixels, expected 64 for images of 8×8",
        2: f"{file}, row 2, column pixels: the pixel is missing, expected a whole number in 0..16",
        4: f"{file}, row 4, column pixels, value 0: the pixel is missing, expected a whole number in 0..16",
    }
    np.testing.assert_array_equal(chunk.pixels[[0, 3, 5]], digits[0][[0, 3, 5]])
