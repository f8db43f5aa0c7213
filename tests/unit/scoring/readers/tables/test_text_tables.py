"""CSV and JSON lines as other programs write them: byte order marks, blanks, labels first, images as text."""

import base64
import gzip
import json

import numpy as np
import pytest

from scoring.chunk import ErrorKind, InputError
from scoring.readers.open import open_inputs
from tests.unit.scoring import formats

MARK = b"\xef\xbb\xbf"


def read(file, shape, **options):
    """Pixels, labels and errors by row."""
    [chunk] = open_inputs([str(file)], shape, **options).chunks(1000)
    return chunk.pixels, chunk.labels, chunk.errors


def names(*first: str) -> list[str]:
    return [*first, *(f"pixel{n}" for n in range(64))]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("named", [False, True], ids=["without names", "with names"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CR LF"])
@pytest.mark.parametrize("quoted", [False, True], ids=["plain cells", "quoted cells"])
def test_a_byte_order_mark_is_no_part_of_csv(packed, named, end, quoted, pixels, labels, small, tmp_path):
    """As Excel writes it, before names and before the first number alike."""
    form = '"%d"' if quoted else "%d"
    file = formats.csv(
        tmp_path / "a.csv", np.c_[labels, pixels], names=names("label") if named else None, fmt=form, end=end
    )
    content = MARK + file.read_bytes()
    file.write_bytes(gzip.compress(content) if packed else content)
    found, shown, errors = read(file, small, labels="label" if named else "0")
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(shown, labels)
    assert not errors


def test_a_byte_order_mark_is_no_part_of_json(pixels, small, tmp_path):
    """Before an object or a list."""
    file = formats.jsonl(tmp_path / "a.jsonl", pixels)
    file.write_bytes(MARK + file.read_bytes())
    np.testing.assert_array_equal(read(file, small)[0], pixels)


@pytest.mark.parametrize("form", ["%d", "%4d", "%.18e", "%-5d"])
@pytest.mark.parametrize("delimiter", [" ", "  ", ", ", "\t", ";"])
@pytest.mark.parametrize("header", ["", "label " + " ".join(names())], ids=["without names", "with names"])
def test_what_numpy_s_savetxt_writes_is_read(form, delimiter, header, pixels, labels, small, tmp_path):
    """Its delimiter is a blank unless told otherwise, and it begins a line of names with #."""
    file = tmp_path / "a.txt"
    rows = np.c_[labels, pixels]
    np.savetxt(file, rows, fmt=form, delimiter=delimiter, header=header.replace(" ", delimiter))
    found, shown, errors = read(file, small, **({} if header else {"labels": "0"}))
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(shown, labels)
    assert not errors


def test_a_label_before_the_pixels_is_hinted_at(pixels, labels, small, tmp_path):
    """As MNIST's CSV has it, without names; with the hint taken, it is read."""
    file = formats.csv(tmp_path / "a.csv", np.c_[labels, pixels])
    with pytest.raises(InputError, match=r"65 pixel columns .*name it, as --labels 0$"):
        read(file, small)
    np.testing.assert_array_equal(read(file, small, labels="0")[1], labels)
    other = formats.csv(tmp_path / "b.csv", np.c_[labels, labels, pixels])
    with pytest.raises(InputError) as caught:
        read(other, small, labels="0")
    assert "--labels" not in str(caught.value)


def jsonl(file, records):
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


TEXTS = {
    "Base64": lambda raw: base64.b64encode(raw).decode(),
    "in lines": lambda raw: base64.encodebytes(raw).decode(),
    "for addresses": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
    "a data: URL": lambda raw: f"data:image/png;base64,{base64.b64encode(raw).decode()}",
    "one with parameters": lambda raw: f"DATA:image/png;name=a.png;Base64,{base64.b64encode(raw).decode()}",
    "one with escapes": lambda raw: "data:," + "".join(f"%{byte:02x}" for byte in raw),
}


@pytest.mark.parametrize(
    "wrap", [lambda text: text, lambda text: {"bytes": text, "path": None}], ids=["text", "object"]
)
@pytest.mark.parametrize("text", TEXTS)
def test_an_image_as_text(text, wrap, pixels, small, tmp_path):
    """An image file or raw pixels, by itself or within an object, as Hugging Face's data sets have it."""
    contents = [formats.png(pixels[0]), pixels[1].tobytes(), formats.png(pixels[2])]
    file = jsonl(tmp_path / "a.jsonl", [{"image": wrap(TEXTS[text](content))} for content in contents])
    inputs = open_inputs([str(file)], small)
    assert inputs.encoded
    [chunk] = inputs.chunks(10)
    assert not chunk.errors
    np.testing.assert_array_equal(
        chunk.pixels, [small.prepare(contents[0]).pixels, pixels[1], small.prepare(contents[2]).pixels]
    )


@pytest.mark.parametrize("text", ["%%%", "a", "https://example.org/7.png", "data:image/png;base64", "data:;base64,%%%"])
def test_text_that_is_no_image(text, pixels, small, tmp_path):
    """An error of its row, which is told from an image that cannot be read."""
    file = jsonl(tmp_path / "a.jsonl", [{"image": text}, {"image": TEXTS["Base64"](pixels[0].tobytes())}])
    found, _, errors = read(file, small)
    assert {row: error.kind for row, error in errors.items()} == {0: ErrorKind.UNREADABLE}
    np.testing.assert_array_equal(found[1], pixels[0])


def records(pixels, pattern, **more):
    return [
        more | {pattern.format(n=n, r=n // 8, c=n % 8): int(value) for n, value in reversed([*enumerate(row)])}
        for row in pixels
    ]


@pytest.mark.parametrize("pattern", ["pixel{n}", "{n}", "{r}x{c}"])
def test_a_field_for_each_pixel(pattern, pixels, small, tmp_path):
    """As pandas writes a table's rows, in the order of the numbers; a row that lacks one is an error of its own."""
    rows = records(pixels, pattern, label=7, id="a")
    rows[5][pattern.format(n=9, r=1, c=1)] = None
    rows[6].popitem()
    rows[7][pattern.format(n=9, r=1, c=1)] = 0.5
    file = jsonl(tmp_path / "a.jsonl", rows)
    found, shown, errors = read(file, small)
    assert {row: error.kind for row, error in errors.items()} == {
        5: ErrorKind.MISSING,
        6: ErrorKind.MISSING,
        7: ErrorKind.FRACTION,
    }
    np.testing.assert_array_equal(np.delete(found, [5, 6, 7], 0), np.delete(pixels, [5, 6, 7], 0))
    assert shown.tolist() == [7] * 50


def test_several_fields_for_each_pixel(pixels, small, tmp_path):
    """Are not guessed among; a pattern tells which, and one field with all goes before."""
    rows = [
        one | other for one, other in zip(records(pixels, "a{n}"), records(np.zeros_like(pixels), "b{n}"), strict=True)
    ]
    file = jsonl(tmp_path / "a.jsonl", rows)
    assert len(read(file, small)[2]) == 50
    np.testing.assert_array_equal(read(file, small, pixels="a*")[0], pixels)
    assert len(read(file, small, pixels="c*")[2]) == 50
    file = jsonl(tmp_path / "a.jsonl", [row | {"Pixels": [1] * 64} for row in rows])
    assert read(file, small)[0].min() == 1
