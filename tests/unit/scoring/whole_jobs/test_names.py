"""Names of files are bytes, and whatever they are, rows keep ids of their own and the job comes to its end."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from scoring import score
from scoring.readers.open import open_inputs
from scoring.reporting.report import write_report
from tests.support.server import MODELS, Server
from tests.unit.scoring import formats

NAMES = [b"a\xfe.png", b"a\xff.png", rb"a\xff.png", rb"a\\xff.png", "zwölf.png".encode(), b"\xc3.png", b"b.png"]


def bytes_of(name: str) -> bytes:
    """The file's name that an id stands for, as `--help` has it."""
    return re.sub(
        rb"\\(\\|x..)", lambda found: b"\\" if found[1] == b"\\" else bytes([int(found[1][1:], 16)]), name.encode()
    )


@pytest.fixture
def strange(tmp_path, digits):
    """A folder of images whose name is no UTF-8, as are some of theirs."""
    folder = tmp_path / os.fsdecode(b"in\xff")
    formats.images(folder, digits[0][:1])
    for name in NAMES:
        shutil.copy(folder / "00000.png", folder / os.fsdecode(name))
    (folder / "00000.png").unlink()
    return folder


@pytest.mark.parametrize("kind", ["folder", "tar", "one by one", "several"])
def test_ids_are_told_apart_and_tell_the_name(kind, strange, small, tmp_path):
    """Bytes that are no UTF-8 are written by their value, and a backslash is one of the name's own only if doubled."""
    inputs, before = [str(strange)], b""
    if kind == "tar":
        inputs = [str(formats.tarred(tmp_path / "a.tar", strange, "w"))]
    elif kind == "one by one":
        inputs, before = [str(strange / "*.png")], os.fsencode(strange) + b"/"
    elif kind == "several":
        inputs, before = (
            [str(strange), str(formats.npy(tmp_path / "a.npy", np.zeros((0, 64))))],
            os.fsencode(strange) + b"/",
        )
    ids = [name for chunk in open_inputs(inputs, small).chunks(3) for name in chunk.ids]
    assert len(set(ids)) == len(NAMES)
    assert {bytes_of(name) for name in ids} == {before + name for name in NAMES}
    if kind == "folder":
        assert ids[:3] == [r"a\\\\xff.png", r"a\\xff.png", r"a\xfe.png"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_whole_job_among_such_names(strange, digits, ending, tmp_path, sharing_server: Server):
    """Inputs, output, what is said of a bad row, and the report: here and by a server."""
    rows = digits[0][:5].astype(np.int16)
    rows[2, 3] = -1
    array = formats.npy(strange / os.fsdecode(b"\xff.npy"), rows)
    (strange / os.fsdecode(b"\xfd.png")).write_bytes(b"nothing")
    for place, options in enumerate(({"models": MODELS}, {"server": sharing_server.address})):
        output = strange / os.fsdecode(b"out%d\xff." % place + ending.encode())
        summary = score([strange, array], output, model="digits-8x8", on_error="record", **options)
        assert (summary.rows, summary.failed) == (len(NAMES) + 6, 2)
        assert output.stat().st_size
        assert not Path(f"{output}.parts").exists()
        write_report(summary, tmp_path / f"{output.name}.report")
    if ending == "jsonl":
        return
    with output.open("rb") as file:
        table = pq.read_table(file) if ending == "parquet" else pyarrow.csv.read_csv(file)
    errors = [text for text in table["error"].to_pylist() if text]
    assert [text.count(r"in\xff") for text in errors] == [1, 1]
    assert r"\xfd.png: the bytes are not an image" in errors[0]
    assert r"\xff.npy, row 2, column 3: the pixel is -1" in errors[1]


def test_tables_of_such_names_are_read(strange, digits, small, tmp_path):
    """Parquet and npz by other libraries, which have ways of their own with names."""
    for name, write in (
        (b"\xff.parquet", lambda file: formats.parquet(file, formats.lists(digits[0]))),
        (b"\xff.npz", lambda file: formats.npz(file, digits[0])),
        (b"\xff.csv.gz", lambda file: formats.csv(file, digits[0])),
    ):
        write(tmp_path / name.lstrip(b"\xff").decode()).rename(strange / os.fsdecode(name))
        [chunk] = open_inputs([str(strange / os.fsdecode(name))], small).chunks(5000)
        np.testing.assert_array_equal(chunk.pixels, digits[0])
