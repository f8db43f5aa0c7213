"""Files that are damaged, or no files of digits at all, end the job with a sentence."""

import gzip
import io
import os
import struct
import sys
import zipfile

import numpy as np
import pytest

from scoring.chunk import InputError
from scoring.readers.arrays import array
from scoring.readers.open import open_inputs
from tests.unit.scoring import formats


def packed_trash(raw):
    return gzip.compress(raw) + b"trash"


GOOD = {
    "npy": lambda folder, x: formats.npy(folder / "a.npy", x),
    "npz": lambda folder, x: formats.npz(folder / "a.npz", x),
    "idx": lambda folder, x: formats.idx(folder / "a.idx", x.reshape(-1, 8, 8)),
    "parquet": lambda folder, x: formats.parquet(folder / "a.parquet", formats.lists(x)),
}
DAMAGE = {
    "cut by a byte": lambda raw: raw[:-1],
    "cut in the middle": lambda raw: raw[: len(raw) // 2],
    "cut in the header": lambda raw: raw[:10],
    "too long": lambda raw: raw + b"x",
    "packed and cut": lambda raw: gzip.compress(raw)[:-20],
    "packed with trash behind": packed_trash,
    "packed and too long": lambda raw: gzip.compress(raw + b"x"),
    "packed and cut inside": lambda raw: gzip.compress(raw[:-1]),
}


# npz and Parquet are packed in themselves, and a zip may be followed by anything.
NO_DAMAGE = {("npz", "too long")} | {
    (kind, damage) for kind in ("npz", "parquet") for damage in DAMAGE if "packed" in damage
}


@pytest.mark.parametrize(
    ("kind", "damage"), [pair for kind in GOOD for damage in DAMAGE if (pair := (kind, damage)) not in NO_DAMAGE]
)
def test_damaged_files_end_the_job(kind, damage, digits, small, tmp_path):
    """When they are opened or when the damage is reached; the sentence names the file."""
    file = GOOD[kind](tmp_path, digits[0])
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(InputError) as caught:
        list(open_inputs([str(file)], small).chunks(500))
    assert str(caught.value).startswith(str(file))
    assert "damaged" in str(caught.value) or "cut short" in str(caught.value) or "too long" in str(caught.value)


def test_a_damaged_page_of_parquet_ends_the_job(digits, small, tmp_path):
    """What was read before it is not lost."""
    file = formats.parquet(tmp_path / "a.parquet", formats.lists(digits[0]), group=500)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = os.urandom(2000)
    file.write_bytes(raw)
    chunks = open_inputs([str(file)], small).chunks(500)
    np.testing.assert_array_equal(next(chunks).pixels, digits[0][:500])
    with pytest.raises(InputError, match=r"a\.parquet is damaged or cut short"):
        list(chunks)


def test_a_file_that_is_cut_short_while_it_is_read(digits, small, tmp_path):
    """To touch what is no longer there would end the process without a word."""
    file = formats.npy(tmp_path / "a.npy", digits[0])
    chunks = open_inputs([str(file)], small).chunks(500)
    next(chunks)
    os.truncate(file, 20_000)
    with pytest.raises(InputError, match=r"a\.npy is cut short: 20000 bytes, expected 115136 for uint8 of the shape"):
        next(chunks)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 63), np.uint8), r"has the shape \[5, 63\], expected \[N, 64\] or \[N, 8, 8\]"),
        (np.zeros((5, 28, 28), np.uint8), r"has the shape \[5, 28, 28\], expected"),
        (np.zeros(64, np.uint8), r"has the shape \[64\], expected"),
        (np.uint8(3), r"has the shape \[\], expected"),
        (np.zeros((5, 64), np.complex64), "holds values of the type complex64, expected numbers"),
        (np.full((5, 64), "x"), "holds values of the type <U1, expected numbers"),
        (np.full((5, 64), None), "holds Python objects, expected numbers"),
    ],
)
def test_arrays_of_another_form(array, message, small, tmp_path):
    """Another shape or another type is refused before anything is read."""
    file = tmp_path / "a.npy"
    np.save(file, array, allow_pickle=True)
    with pytest.raises(InputError, match=message) as caught:
        open_inputs([str(file)], small)
    assert str(caught.value).startswith(str(file))


def test_idx_of_another_form(small, tmp_path):
    """A file of labels is none of images."""
    file = formats.idx(tmp_path / "a", np.zeros(10, np.uint8))
    with pytest.raises(InputError, match=r"has the shape \[10\], expected"):
        open_inputs([str(file)], small)
    file.write_bytes(b"\0\0\x08\x03" + struct.pack(">II", 5, 8))
    with pytest.raises(InputError, match="is cut short: its header alone has 16 bytes"):
        open_inputs([str(file)], small)


def test_files_that_are_none(small, tmp_path):
    """Missing, empty, a pipe, of no known kind, a folder without images, a zip of something else."""
    empty = tmp_path / "empty.npy"
    empty.write_bytes(b"")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    strange = tmp_path / "strange"
    strange.write_bytes(b"\x7fELF\0\0\0\0")
    (tmp_path / "folder").mkdir()
    cases = {
        str(tmp_path / "missing.npy"): "does not exist",
        str(tmp_path / "*.nothing"): "matches no file",
        str(empty): "is empty: 0 bytes",
        str(pipe): "is neither a file nor a folder",
        str(strange): "is of no known kind: it begins with 7f 45 4c 46",
        str(tmp_path / "folder"): "is a folder without image files",
    }
    for path, message in cases.items():
        with pytest.raises(InputError) as caught:
            open_inputs([path], small)
        assert str(caught.value).startswith(f"{path} {message}")
    with pytest.raises(InputError, match="no input was named"):
        open_inputs([], small)
    with pytest.raises(InputError, match="standard input is named twice"):
        open_inputs(["-", "-"], small)


def test_an_encrypted_npz(digits, small, tmp_path):
    """Is told in a sentence; nobody is asked for the password."""
    file = formats.npz(tmp_path / "a.npz", digits[0])
    raw = bytearray(file.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        raw[raw.rindex(signature) + flags] |= 1
    file.write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.npz, pixels\.npy cannot be read: .*encrypted"):
        open_inputs([str(file)], small)


def test_csv_whose_lines_do_not_end(digits, small, tmp_path):
    """CR alone ends none: all of the file would be the line of names."""
    file = formats.csv(tmp_path / "a.csv", digits[0][:5], end="\r")
    with pytest.raises(InputError, match=r"a\.csv, line 1: its lines end in CR alone, expected LF or CR LF"):
        open_inputs([str(file)], small)


def test_a_field_of_csv_without_end(small, tmp_path):
    """A line of names longer than is allowed is one sentence as well."""
    file = tmp_path / "a.csv"
    file.write_text("x" * 200_000 + ",y\n")
    with pytest.raises(InputError, match=r"a\.csv has no pixel columns, expected 64 .*; its columns: x+…, y$"):
        open_inputs([str(file)], small)


def test_a_closed_standard_input(small, monkeypatch):
    """Python has none then."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        open_inputs(["-"], small)


def test_a_table_without_rows(small, digits, tmp_path):
    """Has none, which is no error: parts of a data set may be empty."""
    none = digits[0][:0]
    files = [
        formats.npy(tmp_path / "a.npy", none),
        formats.idx(tmp_path / "b", none.reshape(0, 8, 8)),
        formats.parquet(tmp_path / "c", formats.columns(none)),
        formats.parquet(tmp_path / "d", formats.raw_fixed(none)),
        formats.csv(tmp_path / "e", none, names=[f"p{n}" for n in range(64)]),
    ]
    inputs = open_inputs([str(file) for file in files], small)
    assert list(inputs.chunks(10)) == []
    assert inputs.count == 0


def test_an_array_in_the_order_of_fortran_that_is_cut_short_while_it_is_read(digits, small, tmp_path, monkeypatch):
    """What was not read is no pixel, even where the size was right a moment before."""
    file = formats.npy(tmp_path / "a.npy", np.asfortranarray(digits[0]))
    chunks = open_inputs([str(file)], small).chunks(500)
    next(chunks)
    monkeypatch.setattr(array._Mapped, "_check_size", lambda self: None)
    os.truncate(file, 20_000)
    with pytest.raises(InputError, match=r"a\.npy is cut short: expected 115136 bytes for uint8 of the shape"):
        next(chunks)


@pytest.mark.parametrize(("place", "value"), [(6, b"\xff"), (46, b"\xff")])
def test_a_zip_of_another_kind(place, value, digits, small, tmp_path):
    """Names that are not the UTF-8 that it says, and a version that nobody has, are sentences."""
    folder = formats.images(tmp_path / "in", digits[0][:1])
    (folder / "00000.png").rename(folder / "ü.png")
    file = formats.zipped(tmp_path / "a.zip", folder)
    raw = bytearray(file.read_bytes())
    directory = raw.rindex(b"PK\1\2")
    raw[directory + place : directory + place + len(value)] = value
    file.write_bytes(raw)
    with pytest.raises(InputError, match=r"a\.zip is damaged or cut short: .*(version|decode)"):
        open_inputs([str(file)], small)


def test_labels_of_an_npz_that_are_cut_short(digits, small, tmp_path):
    """Shorter than their own header says, in a zip that is whole."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, values, left in (("x", digits[0], None), ("y", digits[1], -8)):
            with io.BytesIO() as file:
                np.save(file, values)
                archive.writestr(f"{name}.npy", file.getvalue()[:left])
    with pytest.raises(InputError, match=r"a\.npz, array y is damaged or cut short"):
        open_inputs([str(tmp_path / "a.npz")], small)
