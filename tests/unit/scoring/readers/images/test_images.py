"""Image files in folders, archives and cells of tables, prepared as for the model, several processes at it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

from scoring.chunk import ErrorKind, InputError
from scoring.readers.images import decoding
from scoring.readers.open import open_inputs
from tests.unit.scoring import formats

COUNT = 40


@pytest.fixture
def folder(tmp_path, digits):
    pixels, labels = digits
    return formats.images(tmp_path / "images", pixels[:COUNT], labels)


@pytest.fixture
def expected(digits, small):
    """By name within the folder: what the model is given."""
    pixels, labels = digits
    return {f"{labels[n]}/{n:05d}.png": small.prepare(formats.png(pixels[n])).pixels for n in range(COUNT)}


def read(paths, shape, **options):
    chunks = list(open_inputs([str(path) for path in paths], shape, **options).chunks(16))
    pixels = {name: row for chunk in chunks for name, row in zip(chunk.ids, chunk.pixels, strict=True)}
    errors = {chunk.ids[row]: error for chunk in chunks for row, error in chunk.errors.items()}
    labels = [int(label) for chunk in chunks if chunk.labels is not None for label in chunk.labels]
    return pixels, errors, labels


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_folder_and_its_archives_give_the_same(kind, folder, expected, small, tmp_path):
    """Names, pixels, and labels from the folders' names."""
    if kind == "folder":
        path = folder
    elif kind == "zip":
        path = formats.zipped(tmp_path / "a", folder)
    else:
        path = formats.tarred(tmp_path / "a", folder, f"w:{kind.partition('.')[2]}")
    pixels, errors, labels = read([path], small, labels="folder")
    assert list(pixels) == sorted(expected)
    assert not errors
    assert labels == [int(name[0]) for name in pixels]
    for name, row in expected.items():
        np.testing.assert_array_equal(pixels[name], row)


def test_files_named_one_by_one_are_one_input(folder, expected, small):
    """Ids are the paths as they were given; a chunk holds many of them."""
    inputs = open_inputs([str(folder / "*" / "*.png")], small)
    assert inputs.rows == COUNT
    chunks = list(inputs.chunks(100))
    assert len(chunks) == 1
    assert chunks[0].ids == [str(folder / name) for name in sorted(expected)]


def test_an_image_without_the_name_of_one(folder, small, tmp_path):
    """A single file is known by its content."""
    image = tmp_path / "scan"
    image.write_bytes(next(folder.rglob("*.png")).read_bytes())
    pixels, errors, _ = read([image], small)
    assert list(pixels) == [str(image)]
    assert not errors


def test_names_of_several_inputs_are_told_apart(folder, small, tmp_path, digits):
    """Behind the name of the folder or archive; rows that have none go by their number."""
    archive = formats.zipped(tmp_path / "b.zip", folder)
    array = formats.npy(tmp_path / "c.npy", digits[0][:2])
    pixels, _, _ = read([folder, archive, array], small)
    names = list(pixels)
    assert names[0] == f"{folder}/0/00000.png"
    assert names[COUNT] == f"{archive}/0/00000.png"
    assert names[2 * COUNT :] == [str(2 * COUNT), str(2 * COUNT + 1)]


def test_chunks_that_are_done_are_passed_over(folder, small, tmp_path):
    """Their images are not decoded."""
    for path in (folder, formats.tarred(tmp_path / "a.tar", folder, "w")):
        inputs = open_inputs([str(path)], small)
        everything = list(inputs.chunks(16))
        [left] = inputs.chunks(16, {0, 1})
        assert (left.index, left.first_row, left.ids) == (2, 32, everything[2].ids)
        np.testing.assert_array_equal(left.pixels, everything[2].pixels)


def test_other_files_and_hidden_ones_are_no_images(folder, expected, small):
    """Only what has an image's ending counts; one that cannot be read is an error rather than left out."""
    (folder / "README.txt").write_text("hello")
    (folder / ".hidden.png").write_text("hello")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "a.png").write_text("hello")
    (folder / "scan.tiff").write_bytes(b"II*\0" + bytes(100))
    pixels, errors, _ = read([folder], small)
    assert set(pixels) == {*expected, "scan.tiff"}
    assert "TIFF" in errors["scan.tiff"].message


def test_links_in_a_folder_are_followed(folder, expected, small, tmp_path):
    """To files and to folders, each by its own name; not back to where they lie, which has no end."""
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.mkdir()
    (folder / "all").symlink_to(elsewhere)
    (folder / "one.png").symlink_to(elsewhere / min(expected))
    (elsewhere / "0" / "back").symlink_to(folder)
    pixels, errors, _ = read([folder], small)
    assert list(pixels) == [*(f"all/{name}" for name in sorted(expected)), "one.png"]
    assert not errors
    np.testing.assert_array_equal(pixels["one.png"], expected[min(expected)])


def test_a_folder_is_read_in_the_order_of_whole_paths(folder, small):
    """Whatever its folders are called beside its files."""
    image = next(folder.rglob("*.png")).read_bytes()
    for name in ("a/1.png", "a/b/1.png", "a-b/1.png", "a.png", "ab.png", "a0/1.png", "Z.PNG"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(image)
    names = list(read([folder], small)[0])
    assert names == sorted(names)
    assert len(names) == COUNT + 7


def test_a_pipe_that_is_called_an_image_is_an_error_of_its_row(folder, expected, small):
    """Nobody waits for somebody to write to it."""
    os.mkfifo(folder / "pipe.png")

    def write() -> None:
        with contextlib.suppress(OSError):
            (folder / "pipe.png").write_bytes(b"image")

    threading.Thread(target=write, daemon=True).start()
    pixels, errors, _ = read([folder], small)
    assert set(pixels) == {*expected, "pipe.png"}
    assert [error.message for error in errors.values()] == [
        f"{folder}, pipe.png: it cannot be read: it is not a regular file"
    ]


def test_a_link_in_a_tar_is_an_error_of_its_row(folder, expected, small, tmp_path):
    """A hard link is how tar packs the second name of a file: no row is left out in silence."""
    first = folder / min(expected)
    (folder / "9" / "same.png").hardlink_to(first)
    (folder / "9" / "soft.png").symlink_to(first)
    pixels, errors, _ = read([formats.tarred(tmp_path / "a.tar", folder, "w")], small)
    assert set(pixels) == {*expected, "9/same.png", "9/soft.png"}
    said = {name: error.message.partition(": ")[2] for name, error in errors.items()}
    assert said == {
        "9/same.png": f"it cannot be read: it is a link to {min(expected)}",
        "9/soft.png": f"it cannot be read: it is a link to {first}",
    }


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_an_image_that_cannot_be_read_is_an_error_of_its_row(kind, folder, expected, small, tmp_path):
    """The row holds zeros, the sentence names the file, and the others are what they were."""
    bad = folder / "0" / "00010.png"
    bad.write_bytes(bad.read_bytes()[:60])
    (folder / "1" / "00001.png").write_bytes(b"")
    path = folder
    if kind != "folder":
        path = (formats.zipped if kind == "zip" else lambda *a: formats.tarred(*a, "w"))(tmp_path / "a", folder)
    pixels, errors, _ = read([path], small)
    assert set(errors) == {"0/00010.png", "1/00001.png"}
    assert all(error.kind == ErrorKind.IMAGE for error in errors.values())
    assert errors["0/00010.png"].message.startswith(f"{path}, 0/00010.png: the PNG image is truncated or damaged")
    assert errors["1/00001.png"].message == f"{path}, 1/00001.png: the image is empty: 0 bytes"
    for name, row in expected.items():
        np.testing.assert_array_equal(pixels[name], np.zeros(64) if name in errors else row)


def test_an_image_that_vanished_is_an_error_of_its_row(folder, small):
    """As is one that may not be opened."""
    inputs = open_inputs([str(folder)], small)
    (folder / "0" / "00010.png").unlink()
    (folder / "0" / "00010.png").mkdir()
    errors = {c.ids[row]: error.message for c in inputs.chunks(16) for row, error in c.errors.items()}
    assert errors == {"0/00010.png": f"{folder}, 0/00010.png: it cannot be read: Is a directory"}


def test_a_damaged_member_of_a_zip_is_an_error_of_its_row(folder, small, tmp_path):
    """The archive's checksum tells."""
    archive = formats.zipped(tmp_path / "a.zip", folder)
    raw = bytearray(archive.read_bytes())
    place = raw.index(b"IDAT") + 10
    raw[place] ^= 255
    archive.write_bytes(raw)
    _, errors, _ = read([archive], small)
    assert [error.message for error in errors.values()] == [
        f"{archive}, 0/00000.png: it cannot be read: Bad CRC-32 for file '0/00000.png'"
    ]


@pytest.mark.parametrize(
    ("offsets", "value", "sentence"),
    [((6, 8), 1, "encrypted"), ((8, 10), 97, "compression method is not supported")],
    ids=["encrypted", "packed in a way of its own"],
)
def test_a_member_of_a_zip_that_cannot_be_unpacked_is_an_error_of_its_row(
    offsets, value, sentence, folder, small, tmp_path
):
    """What stands of it before it and in the list at the end is changed; the others are read."""
    archive = formats.zipped(tmp_path / "a.zip", folder)
    raw = bytearray(archive.read_bytes())
    for signature, offset in zip((b"PK\3\4", b"PK\1\2"), offsets, strict=True):
        raw[raw.index(signature) + offset] = value
    archive.write_bytes(raw)
    _, errors, _ = read([archive], small)
    [error] = errors.values()
    assert error.message.startswith(f"{archive}, 0/00000.png: it cannot be read: ")
    assert sentence in error.message


@pytest.mark.parametrize("left", [-1, -1024, 5 * 512 + 100, 700], ids=["end", "no end", "in a header", "in a file"])
def test_a_tar_that_is_cut_short_ends_the_job(left, folder, small, tmp_path):
    """Wherever it is cut; rows are never just fewer."""
    archive = formats.tarred(tmp_path / "a.tar", folder, "w")
    whole = archive.read_bytes().rstrip(b"\0")
    whole += bytes(-len(whole) % 512)
    archive.write_bytes(whole[:left] if left != -1 else whole)
    with pytest.raises(InputError, match=r"a\.tar is damaged or cut short"):
        read([archive], small)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_packed_archive_that_is_cut_short_ends_the_job(kind, folder, small, tmp_path):
    """The sentence names the archive."""
    archive = tmp_path / "a"
    if kind == "zip":
        formats.zipped(archive, folder)
    else:
        formats.tarred(archive, folder, f"w:{kind[4:]}")
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(InputError, match="a is damaged or cut short"):
        read([archive], small)


def test_labels_of_folders_that_are_no_classes(folder, small, tmp_path):
    """Asked for, a folder's name must be a class."""
    (folder / "7").rename(folder / "seven")
    with pytest.raises(InputError, match=r"the folder of .*seven/.*: the label is seven, expected one of 0, 1, 2"):
        read([folder], small, labels="folder")


def test_image_files_in_cells(tmp_path, digits, small):
    """Bytes that begin like an image file are one, also within a struct; the others of the column are raw pixels."""
    pixels, _ = digits
    image = formats.png(pixels[0])
    prepared = small.prepare(image).pixels
    cells = pa.array([image, pixels[1].tobytes(), None, b"abc", image[:50]], pa.binary())
    plain = formats.parquet(tmp_path / "a.parquet", {"n": [1, 2, 3, 4, 5], "data": cells})
    struct = pa.StructArray.from_arrays([cells, pa.array(["x"] * 5)], ["bytes", "path"])
    within = formats.parquet(tmp_path / "b.parquet", {"image": struct, "other": cells})
    for file, column in ((plain, "data"), (within, "image")):
        inputs = open_inputs([str(file)], small)
        assert inputs.encoded
        [chunk] = inputs.chunks(10)
        np.testing.assert_array_equal(chunk.pixels[:2], [prepared, pixels[1]])
        kinds = {row: error.kind for row, error in chunk.errors.items()}
        assert kinds == {2: ErrorKind.MISSING, 3: ErrorKind.LENGTH, 4: ErrorKind.IMAGE}
        assert chunk.errors[3].message.startswith(f"{file}, row 3, column {column}: it has 3 bytes, expected an image")


def test_several_processes_give_what_one_gives(monkeypatch, digits, small):
    """In order, errors among them, however many images there are."""
    monkeypatch.setattr(decoding, "_FEW", 10)
    monkeypatch.setattr(decoding, "_GROUP", 7)
    images = [formats.png(row) if n % 9 else b"nothing" for n, row in enumerate(digits[0][:200])]
    with decoding.Decoder(small.prepare, 1) as one, decoding.Decoder(small.prepare, 3) as three:
        expected = list(one.decode(images))
        found = list(three.decode(images[:90])) + list(three.decode(images[90:]))
        assert len(three._programs) > 0
    assert [type(each) for each in found] == [type(each) for each in expected]
    for each, other in zip(found, expected, strict=True):
        if isinstance(other, str):
            assert each == other
        else:
            np.testing.assert_array_equal(each.pixels, other.pixels)
            assert each.warnings == other.warnings


def test_decoding_processes_leave_an_interrupt_to_their_caller(monkeypatch):
    """Ctrl-C reaches them as well, and none of them may end before what it was given is answered."""
    monkeypatch.setattr(decoding, "_FEW", 0)
    with decoding.Decoder(len, 2) as decoder:
        assert list(decoder.decode([b"x"] * 200)) == [1] * 200
        for program in decoder._programs:
            program.send_signal(signal.SIGINT)
        assert list(decoder.decode([b"xy"] * 200)) == [2] * 200


def test_decoding_processes_end_with_their_caller():
    """Even when it is killed."""
    code = (
        "import os, signal\n"
        "from scoring.readers.images import decoding\n"
        "decoding._FEW = 0\n"
        "decoder = decoding.Decoder(len, 2)\n"
        "images = decoder.decode(b'x' for _ in range(10**9))\n"
        "next(images)\n"
        "print(*(program.pid for program in decoder._programs), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids, done.stderr
    until = time.monotonic() + 30
    while any(_is_running(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_decoding_process_that_dies_ends_the_job(monkeypatch):
    """With a sentence, not with a hang."""
    monkeypatch.setattr(decoding, "_FEW", 0)
    with decoding.Decoder(sys.exit, 2) as decoder, pytest.raises(InputError, match="ended with exit code"):
        list(decoder.decode([b"x"] * 200))
