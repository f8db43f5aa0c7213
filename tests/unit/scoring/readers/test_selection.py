"""Which columns, arrays and labels are taken when there are several candidates, and what is said when none is clear."""

import json

import numpy as np
import pyarrow as pa
import pytest

from scoring.chunk import FOREIGN, UNKNOWN, InputError
from scoring.readers.open import open_inputs
from tests.unit.scoring import formats


def read(file, shape, **options):
    inputs = open_inputs([str(file)], shape, **options)
    chunks = list(inputs.chunks(1000))
    labels = np.concatenate([chunk.labels for chunk in chunks]) if inputs.labelled else None
    return np.concatenate([chunk.pixels for chunk in chunks]), labels


@pytest.mark.parametrize(
    "pattern", ["pixel{n}", "{n}", "px_{r}_{c}", "{r}x{c}"], ids=["numbered", "numbers", "row and column", "1x1"]
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_go_by_the_numbers_in_their_names(kind, pattern, pixels, labels, small, tmp_path):
    """In the order of the numbers, not of the file or of the letters; a label beside them is one."""
    names = [pattern.format(n=n, r=n // 8, c=n % 8) for n in range(64)]
    order = [*range(63, -1, -1)]
    shuffled = [names[n] for n in order]
    if kind == "csv":
        file = formats.csv(tmp_path / "a", np.c_[labels, pixels[:, order]], names=["label", *shuffled])
    else:
        file = formats.parquet(
            tmp_path / "a", {"Label": labels} | {names[n]: np.ascontiguousarray(pixels[:, n]) for n in order}
        )
    found, shown = read(file, small)
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(shown, labels)


def test_a_column_of_lists_goes_before_columns_of_numbers(pixels, small, tmp_path):
    """And one called pixels before other lists."""
    other = np.zeros_like(pixels)
    columns = formats.columns(other) | formats.lists(pixels) | {"embedding": pa.array(list(other))}
    np.testing.assert_array_equal(read(formats.parquet(tmp_path / "a", columns), small)[0], pixels)
    del columns["embedding"]
    columns["vector"] = columns.pop("pixels")
    np.testing.assert_array_equal(read(formats.parquet(tmp_path / "a", columns), small)[0], pixels)


def test_pixels_names_what_is_taken(pixels, small, tmp_path):
    """A column, a pattern of columns, or an array."""
    other = np.zeros_like(pixels)
    columns = (
        {f"raw_{n}": np.ascontiguousarray(pixels[:, n]) for n in range(64)}
        | {f"thin_{n}": np.ascontiguousarray(other[:, n]) for n in range(64)}
        | {"a": pa.array(list(other)), "b": pa.array(list(pixels))}
    )
    file = formats.parquet(tmp_path / "a", columns)
    for name in ("raw_*", "b"):
        np.testing.assert_array_equal(read(file, small, pixels=name)[0], pixels)
    np.savez(tmp_path / "a.npz", x_train=other, x_test=pixels)
    np.testing.assert_array_equal(read(tmp_path / "a.npz", small, pixels="x_test")[0], pixels)
    np.savez(tmp_path / "b.npz", other=other, X=pixels)
    np.testing.assert_array_equal(read(tmp_path / "b.npz", small)[0], pixels)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (lambda x: {"a": pa.array(list(x)), "b": pa.array(list(x))}, {}, r"several columns of lists or bytes \(a, b\)"),
        (
            lambda x: formats.columns(x) | {f"q{n}": x[:, n] for n in range(64)},
            {},
            r"several groups of 64 columns \(pixel0…pixel63, q0…q63\), expected one, or --pixels",
        ),
        (
            lambda x: {f"p{n}": x[:, n] for n in range(63)},
            {},
            r"63 pixel columns \(p0…p62\), expected 64 for images of 8×8",
        ),
        (lambda x: {"name": ["x"] * len(x)}, {}, "no pixel columns, expected 64"),
        (lambda x: formats.columns(x), {"pixels": "q*"}, r"0 columns of numbers named q\*, expected 64"),
        (lambda x: formats.columns(x), {"labels": "what"}, "no column what for labels, nor is there a file"),
    ],
)
def test_what_is_not_clear_is_refused(columns, options, message, pixels, small, tmp_path):
    """The sentence names the file and the candidates."""
    file = formats.parquet(tmp_path / "a.parquet", columns(pixels))
    with pytest.raises(InputError, match=message) as caught:
        open_inputs([str(file)], small, **options)
    assert str(caught.value).startswith(str(file))


def test_columns_of_one_name_are_refused(pixels, small, tmp_path):
    """It is not for the service to say which one was meant."""
    names = [f"p{n}" for n in range(63)] + ["p0"]
    with pytest.raises(InputError, match="several columns named p0"):
        read(formats.csv(tmp_path / "a", pixels, names=names), small)


def test_arrays_that_are_not_clear_are_refused(pixels, labels, small, tmp_path):
    """With what there is in the file."""
    file = tmp_path / "a.npz"
    np.savez(file, train=pixels, test=pixels, y=labels)
    with pytest.raises(InputError, match=r"several arrays with images of 8×8.*train uint8\[50, 64\], test uint8"):
        read(file, small)
    with pytest.raises(InputError, match="has no array z; its arrays"):
        read(file, small, pixels="z")
    with pytest.raises(InputError, match="has no array z of labels"):
        read(file, small, pixels="test", labels="z")
    np.savez(file, y=labels)
    with pytest.raises(InputError, match="no array with images of 8×8"):
        read(file, small)


def test_csv_without_names(pixels, labels, small, tmp_path):
    """Columns are numbered from 0, so that one of labels can be named."""
    file = formats.csv(tmp_path / "a", np.c_[pixels, labels])
    with pytest.raises(InputError, match=r"65 pixel columns \(0…64\), expected 64"):
        read(file, small)
    found, shown = read(file, small, labels="64")
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(shown, labels)


def test_labels_from_a_file(pixels, labels, small, tmp_path):
    """IDX, .npy or text, one for each row of the job; a blank line is an image nobody labelled."""
    file = formats.npy(tmp_path / "a.npy", pixels)
    text = tmp_path / "labels.txt"
    text.write_text("\n".join(map(str, labels)))
    files = [
        text,
        formats.npy(tmp_path / "labels.npy", labels),
        formats.idx(tmp_path / "labels.gz", labels.astype(np.uint8)),
    ]
    for each in files:
        np.testing.assert_array_equal(read(file, small, labels=str(each))[1], labels, err_msg=str(each))
    text.write_text("\n" + "\n".join(map(str, labels[1:])))
    np.testing.assert_array_equal(read(file, small, labels=str(text))[1], [UNKNOWN, *labels[1:]])


def test_labels_that_are_nowhere_are_refused(pixels, small, tmp_path):
    """An input that has no columns does not pass over what was asked for, alone or beside others."""
    array = formats.npy(tmp_path / "a.npy", pixels)
    missing = str(tmp_path / "labels.txt")
    sentence = f"has no labels {missing}: no such file, and the input has no such column"
    others = [
        formats.idx(tmp_path / "b", pixels.reshape(-1, 8, 8)),
        formats.images(tmp_path / "c", pixels[:2]),
        formats.images(tmp_path / "d", pixels[:1]) / "00000.png",
    ]
    for file in (array, *others):
        with pytest.raises(InputError, match=sentence):
            read(file, small, labels=missing)
    for inputs in ([array], [formats.images(tmp_path / "7", pixels[:1], [7]), array]):
        with pytest.raises(InputError, match=r"a\.npy has no labels folder: it has no image files"):
            open_inputs([str(each) for each in inputs], small, labels="folder")
    table = formats.parquet(tmp_path / "e", formats.raw(pixels) | {"what": [1] * len(pixels)})
    with pytest.raises(InputError, match=r"a\.npy has no labels what: no such file"):
        open_inputs([str(table), str(array)], small, labels="what")


@pytest.mark.parametrize("change", [1, -1])
@pytest.mark.parametrize("asked", [None, "y"])
def test_labels_of_an_npz_that_are_not_as_many_as_its_images(change, asked, pixels, labels, small, tmp_path):
    """Are refused as those of a file, whether they were asked for or found by their name."""
    np.savez(tmp_path / "a.npz", x=pixels, y=np.resize(labels, 50 + change))
    with pytest.raises(InputError, match=rf"a\.npz, array y has {50 + change} labels, expected 50, one for each row"):
        read(tmp_path / "a.npz", small, labels=asked)


@pytest.mark.parametrize("change", [1, -1])
def test_labels_that_are_not_as_many_as_the_rows(change, pixels, labels, small, tmp_path):
    """Found out before the work where the number of rows is known, and in the end where it is not."""
    file = formats.npy(tmp_path / "labels.npy", np.resize(labels, 50 + change))
    for rows in (formats.npy(tmp_path / "a.npy", pixels), formats.csv(tmp_path / "a.csv", pixels)):
        with pytest.raises(InputError, match=rf"labels\.npy has {50 + change} labels, expected (at least )?50"):
            read(rows, small, labels=str(file))


def test_labels_that_are_none_of_the_model(pixels, labels, small, tmp_path):
    """Asked for, they end the job; found by their name alone, they are passed over."""
    strange = labels.astype(int)
    strange[7] = 12
    for file, place in (
        (formats.parquet(tmp_path / "a.parquet", {"label": strange} | formats.raw(pixels)), "row 7, column label"),
        (formats.csv(tmp_path / "a.csv", np.c_[strange, pixels], names=["label", *map(str, range(64))]), "line 9"),
    ):
        shown = read(file, small)[1]
        np.testing.assert_array_equal(shown, [*labels[:7], FOREIGN, *labels[8:]])
        with pytest.raises(InputError, match=f"{place}: the label is 12, expected one of 0, 1, 2"):
            read(file, small, labels="label")


@pytest.mark.parametrize("content", [b"\0\0\x08\x01\0\0\0\x09abc", b"\xff\xfe\0", "zwölf\n".encode()])
def test_label_files_that_are_none(content, pixels, small, tmp_path):
    """The sentence names the file."""
    file = tmp_path / "labels"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(formats.npy(tmp_path / "a.npy", pixels), small, labels=str(file))
    assert str(caught.value).startswith(str(file))


ODD = {
    "objects": np.array(["zero", None], dtype=object),
    "structures": np.zeros(3, [("a", "i4")]),
    "dates": np.zeros(3, "datetime64[s]"),
    "a single number": np.int64(3),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_array_beside_the_pixels_is_not_looked_at(odd, pixels, labels, small, tmp_path):
    """Whether the pixels are found by their name, by their shape, or named; what is refused says why."""
    file = tmp_path / "a.npz"
    for name, options in (("pixels", {}), ("train", {}), ("train", {"pixels": "train"}), ("train", {"labels": "y"})):
        np.savez(file, **{name: pixels, "names": ODD[odd], "y": labels})
        found, shown = read(file, small, **options)
        np.testing.assert_array_equal(found, pixels)
        np.testing.assert_array_equal(shown, labels)
    for options in ({"pixels": "names"}, {"labels": "names"}):
        with pytest.raises(InputError, match=r"a\.npz, array names "):
            read(file, small, **options)
    np.savez(file, names=ODD[odd], y=labels)
    with pytest.raises(InputError, match=r"no array with images of 8×8.*; its arrays: names .*, y int64\[50\]"):
        read(file, small)


def test_an_odd_array_that_is_called_like_labels_is_no_missing_one(pixels, small, tmp_path):
    """Chosen by its name, it is looked at: the job does not go on without what cannot be read."""
    np.savez(tmp_path / "a.npz", x=pixels, labels=ODD["objects"])
    with pytest.raises(InputError, match="array labels holds Python objects, expected numbers or text"):
        read(tmp_path / "a.npz", small)


@pytest.mark.parametrize("damage", ["encrypted", "damaged"])
def test_a_damaged_array_beside_the_pixels_is_not_looked_at(damage, pixels, small, tmp_path):
    """Nor one that is encrypted; named, it is refused."""
    np.savez(tmp_path / "a.npz", x=pixels, other=np.zeros(3))
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    if damage == "encrypted":
        for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            raw[raw.rindex(signature) + flags] |= 1
    else:
        raw[raw.rindex(b"NUMPY")] ^= 1
    (tmp_path / "a.npz").write_bytes(raw)
    np.testing.assert_array_equal(read(tmp_path / "a.npz", small)[0], pixels)
    with pytest.raises(InputError, match=r"a\.npz, (other\.npy|array other) "):
        read(tmp_path / "a.npz", small, pixels="other")


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "json"])
def test_no_sentence_is_longer_than_a_screen_holds(kind, pixels, small, tmp_path):
    """Whatever the data has for names, types and values, and however deep the file lies."""
    folder = tmp_path / ("long" * 20) / ("long" * 20) / ("long" * 20)
    folder.mkdir(parents=True)
    columns = {f"{'column' * 40}{n}": ["value" * 80] * 3 for n in range(300)}
    file = folder / "a"
    if kind == "csv":
        file.write_text(",".join(columns) + "\n" + ",".join(["value" * 80] * 300))
    elif kind == "parquet":
        formats.parquet(file, columns)
    elif kind == "npz":
        np.savez(file, **{name: np.array(values) for name, values in columns.items()})
        file = folder / "a.npz"
    else:
        file.write_text(json.dumps({"pixels": None} | columns))
    said = []
    for options in ({}, {"pixels": "x" * 400}, {"labels": "x" * 400}, {"labels": next(iter(columns))}):
        try:
            chunks = list(open_inputs([str(file)], small, **options).chunks(10))
            said += [error.message for chunk in chunks for error in chunk.errors.values()]
        except InputError as error:
            said.append(str(error))
    assert len(said) == 4
    assert max(map(len, said)) <= 300
    assert all(text.startswith(str(tmp_path)) for text in said)
