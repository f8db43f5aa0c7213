"""What is hidden in folders and archives, members of zips, and labels that folders give or do not give."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from imaging.folder import is_hidden
from scoring.chunk import InputError
from scoring.readers.open import open_inputs
from tests.unit.scoring import formats

HIDDEN = (
    "3/.ipynb_checkpoints/1-checkpoint.png",
    "3/.hidden.png",
    ".git/3/1.png",
    "__MACOSX/3/._1.png",
    "a/__MACOSX/1.png",
    "3/@eaDir/1.png",
    "3/Thumbs.db",
    "3/desktop.ini",
    ".DS_Store",
)


def packed(file: Path, members: dict[str, bytes]) -> Path:
    """A zip or a tar, by the file's ending, whose members are called exactly so."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in members.items():
                info = zipfile.ZipInfo()
                info.filename = name
                archive.writestr(info, data)
        return file
    with tarfile.open(file, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file


@pytest.fixture
def images(digits):
    """By path: each in the folder of its digit."""
    pixels, labels = digits
    return {f"{labels[row]}/{row:02d}.png": formats.png(pixels[row]) for row in range(10)}


def read(inputs, shape, **options):
    """Ids and labels."""
    opened = open_inputs([str(each) for each in inputs], shape, **options)
    chunks = list(opened.chunks(4))
    assert not any(chunk.errors for chunk in chunks)
    return [name for chunk in chunks for name in chunk.ids], [label for chunk in chunks for label in chunk.labels]


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "glob"])
def test_one_rule_of_what_is_hidden(kind, images, small, tmp_path):
    """By a dot, or as a system's own, wherever it lies; what the user named may lie in a hidden folder."""
    members = images | dict.fromkeys(HIDDEN, b"")
    folder = tmp_path / ".mine"
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    source = {"folder": folder, "glob": folder / "**" / "*.*"}.get(kind) or packed(folder / f"a.{kind}", members)
    names, labels = read([source], small, labels="folder")
    assert [name.removeprefix(f"{folder}/") for name in names] == sorted(images)
    assert labels == [int(name[0]) for name in sorted(images)]


@pytest.mark.parametrize("name", ["a/b.png", "./a/../b.png", "..", "a.b/c..png", "thumbs.dbx"])
def test_what_is_not_hidden(name):
    """Dots that mean this folder and the one above, and names that only resemble others."""
    assert not is_hidden(name)


@pytest.mark.parametrize("ending", ["zip", "tar"])
@pytest.mark.parametrize(
    "path", ["set\\{}\\{}", "{}\\{}", "set/{}\\{}", "C:\\set\\{}\\{}", "./set/{}/{}", "/set/{}/{}", "../{}/{}"]
)
def test_folders_in_an_archive_are_labels_however_they_are_written(path, ending, images, small, tmp_path):
    """By programs of Windows with backslashes; ids stay as the archive has them, with a backslash twice."""
    members = {path.format(*name.split("/")): data for name, data in images.items()}
    names, labels = read([packed(tmp_path / f"a.{ending}", members)], small, labels="folder")
    assert labels == [int(name[0]) for name in images]
    assert names == [name.replace("\\", "\\\\") for name in members]


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "named"])
def test_folders_that_were_asked_for_and_are_not_there(kind, images, small, tmp_path, monkeypatch):
    """Refused before the work, also beside an input that has them."""
    flat = {name.replace("/", "_"): data for name, data in images.items()}
    folder = tmp_path / "7"
    folder.mkdir()
    for name, data in flat.items():
        (folder / name).write_bytes(data)
    monkeypatch.chdir(folder)
    source = {"folder": folder, "named": "0_00.png"}.get(kind) or packed(tmp_path / f"a.{kind}", flat)
    other = packed(tmp_path / "b.zip", images)
    for inputs in ([source], [other, source]):
        with pytest.raises(InputError, match="no image lies in a folder there, expected 7/"):
            open_inputs([str(each) for each in inputs], small, labels="folder")


def test_an_image_beside_folders_has_no_label(images, small, tmp_path):
    """The others have theirs."""
    file = packed(tmp_path / "a.zip", {"first.png": images["0/00.png"]} | images)
    assert read([file], small, labels="folder")[1][1:] == [int(name[0]) for name in images]


def test_an_archive_without_images_is_refused(small, tmp_path):
    """As a folder is: a table without rows would say that all went well."""
    for ending in ("zip", "tar"):
        with pytest.raises(InputError, match=rf"a\.{ending} (has no|is a zip without) image files"):
            open_inputs([str(packed(tmp_path / f"a.{ending}", {"a.txt": b"1", "b.txt": b"2"}))], small)


@pytest.mark.parametrize("pack", ["gz", "bz2", "xz", "zip"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "npy", "idx"])
def test_a_packed_table_is_read(kind, pack, digits, small, tmp_path):
    """By gzip, bzip2 or xz, or as the one visible file of a zip; parts of it again for a job that is resumed."""
    plain = getattr(formats, kind)(tmp_path / f"a.{kind}", digits[0][:50])
    file = tmp_path / "packed"
    if pack == "zip":
        packed(tmp_path / "a.zip", {f"in\\a.{kind}": plain.read_bytes(), "__MACOSX/._a.csv": b"", ".DS_Store": b""})
        shutil.move(tmp_path / "a.zip", file)
    else:
        module = {"gz": "gzip", "bz2": "bz2", "xz": "lzma"}[pack]
        file.write_bytes(__import__(module).compress(plain.read_bytes()))
    if (kind, pack) == ("npy", "zip"):
        assert open_inputs([str(file)], small).rows == 50
        return
    inputs = open_inputs([str(file)], small)
    np.testing.assert_array_equal(np.concatenate([chunk.pixels for chunk in inputs.chunks(20)]), digits[0][:50])
    [last] = inputs.chunks(20, {0, 1})
    np.testing.assert_array_equal(last.pixels, digits[0][40:50])
    labels = tmp_path / "labels"
    labels.write_text("7.0\n" * 50)
    [chunk] = open_inputs([str(file)], small, labels=str(labels)).chunks(100)
    assert set(chunk.labels.tolist()) == {7}


@pytest.mark.parametrize("pack", ["gz", "bz2", "xz"])
def test_a_packed_table_that_is_cut_short_ends_the_job(pack, digits, small, tmp_path):
    """Rows are never just fewer."""
    plain = formats.csv(tmp_path / "a.csv", digits[0][:500])
    file = tmp_path / f"a.{pack}"
    module = {"gz": "gzip", "bz2": "bz2", "xz": "lzma"}[pack]
    file.write_bytes(__import__(module).compress(plain.read_bytes())[:-40])
    with pytest.raises(InputError, match=rf"a\.{pack} (is damaged or cut short|cannot be read)"):
        list(open_inputs([str(file)], small).chunks(1000))


def test_a_zip_of_several_kinds(images, digits, small, tmp_path):
    """Image files beside labels are image files; beside an array of images it is not for the service to say."""
    arrays = {}
    for name, array in (("labels", digits[1]), ("pixels", digits[0])):
        with io.BytesIO() as file:
            np.save(file, array)
            arrays[f"{name}.npy"] = file.getvalue()
    beside = packed(tmp_path / "a.zip", images | {"labels.npy": arrays["labels.npy"], "labels.csv": b"1"})
    assert len(read([beside], small, labels="folder")[0]) == 10
    both = packed(tmp_path / "b.zip", images | arrays)
    with pytest.raises(InputError, match=r"b\.zip has 10 image files and arrays of images \(pixels\.npy\)"):
        open_inputs([str(both)], small)
    [chunk] = open_inputs([str(both)], small, pixels="pixels").chunks(2000)
    np.testing.assert_array_equal(chunk.pixels, digits[0])
    with pytest.raises(InputError, match=r"and of 2 other files, expected one: a\.csv, b\.csv"):
        open_inputs([str(packed(tmp_path / "c.zip", {"a.csv": b"1", "b.csv": b"1"}))], small)
