"""The same digits come out of every format, in order, in chunks whose borders depend on nothing else."""

import io
import mmap
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.chunk import UNKNOWN, ErrorKind, InputError
from scoring.readers.open import open_inputs
from tests.unit.scoring import formats

ROWS = 800
CHUNK = 120

WRITERS = {
    "npy": lambda folder, x: formats.npy(folder / "a.npy", x),
    "npy 3d": lambda folder, x: formats.npy(folder / "a.npy", x.reshape(-1, 28, 28)),
    "npy with channels": lambda folder, x: formats.npy(folder / "a.npy", x.reshape(-1, 28, 28, 1)),
    "npy big-endian": lambda folder, x: formats.npy(folder / "a.npy", x.astype(">i4")),
    "npy float": lambda folder, x: formats.npy(folder / "a.npy", x.astype(np.float32)),
    "npy fortran": lambda folder, x: formats.npy(folder / "a.npy", np.asfortranarray(x.reshape(-1, 28, 28))),
    "npz": lambda folder, x: formats.npz(folder / "a.npz", x),
    "idx": lambda folder, x: formats.idx(folder / "a", x.reshape(-1, 28, 28)),
    "idx.gz": lambda folder, x: formats.idx(folder / "a.gz", x.reshape(-1, 28, 28)),
    "csv": lambda folder, x: formats.csv(folder / "a.csv", x),
    "csv.gz": lambda folder, x: formats.csv(folder / "a.csv.gz", x),
    "csv with names": lambda folder, x: formats.csv(folder / "a.csv", x, names=[f"pixel{n}" for n in range(784)]),
    "csv with numbers for names": lambda folder, x: formats.csv(folder / "a", x, names=[f"{n}" for n in range(784)]),
    "csv of floats": lambda folder, x: formats.csv(folder / "a.csv", x, fmt="%.1f"),
    "csv of long floats": lambda folder, x: formats.csv(folder / "a.csv", x[:121], fmt="%.3e"),
    "csv from Windows": lambda folder, x: formats.csv(folder / "a.csv", x, end="\r\n"),
    "parquet columns": lambda folder, x: formats.parquet(folder / "a.parquet", formats.columns(x)),
    "parquet bytes": lambda folder, x: formats.parquet(folder / "a.parquet", formats.raw(x)),
    "parquet fixed bytes": lambda folder, x: formats.parquet(folder / "a", formats.raw_fixed(x), group=CHUNK),
    "parquet lists": lambda folder, x: formats.parquet(folder / "a.parquet", formats.lists(x)),
    "parquet float lists": lambda folder, x: formats.parquet(folder / "a.parquet", formats.float_lists(x)),
    "parquet nested lists": lambda folder, x: formats.parquet(folder / "a.parquet", formats.nested_lists(x)),
    "json lines": lambda folder, x: formats.jsonl(folder / "a.jsonl", x),
}


def rows_of(chunks, width):
    return np.concatenate([np.zeros((0, width), np.uint8), *(chunk.pixels for chunk in chunks)])


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_rows(kind, tmp_path, mnist, large):
    """Pixels, ids and borders are the same whatever the rows come from."""
    file = WRITERS[kind](tmp_path, mnist[:ROWS])
    inputs = open_inputs([str(file)], large)
    chunks = list(inputs.chunks(CHUNK))
    count = sum(map(len, chunks))
    assert count in (ROWS, 121)
    np.testing.assert_array_equal(rows_of(chunks, 784), mnist[:count])
    assert [len(chunk) for chunk in chunks[:-1]] == [CHUNK] * (len(chunks) - 1)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.ids for chunk in chunks] == [range(c.first_row, c.first_row + len(c)) for c in chunks]
    assert not any(chunk.errors for chunk in chunks)
    assert all(chunk.pixels.dtype == np.uint8 and chunk.pixels.flags.c_contiguous for chunk in chunks)
    assert inputs.rows in (count, None)
    assert inputs.count == len(chunks)


@pytest.mark.parametrize("kind", WRITERS)
def test_chunks_that_are_done_are_passed_over(kind, tmp_path, mnist, large):
    """Those that are left are the same as when all are read."""
    inputs = open_inputs([str(WRITERS[kind](tmp_path, mnist[:ROWS]))], large)
    everything = list(inputs.chunks(CHUNK))
    done = {0, 1, 3, 6}
    left = list(inputs.chunks(CHUNK, done))
    wanted = [chunk for chunk in everything if chunk.index not in done]
    assert [(c.index, c.first_row, c.ids) for c in left] == [(c.index, c.first_row, c.ids) for c in wanted]
    for one, other in zip(left, wanted, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert inputs.count == len(everything)
    assert list(inputs.chunks(CHUNK, range(100))) == []


def test_committed_test_set(mnist_file, mnist, large):
    """MNIST's own file, packed as it is."""
    np.testing.assert_array_equal(rows_of(open_inputs([str(mnist_file)], large).chunks(4096), 784), mnist)


def test_rows_of_bytes_are_views_of_the_file(tmp_path, mnist, large):
    """No copy is made of what lies in the file as it is wanted."""
    for kind in ("npy", "idx", "parquet fixed bytes"):
        [chunk, *_] = open_inputs([str(WRITERS[kind](tmp_path, mnist[:ROWS]))], large).chunks(CHUNK)
        base = chunk.pixels
        while isinstance(base, np.ndarray):
            base = base.base
        base = base.obj if isinstance(base, memoryview) else base
        assert isinstance(base, mmap.mmap | pa.Buffer), kind


def test_several_inputs_follow_one_another(tmp_path, digits, small):
    """Row numbers go on, and a chunk ends where its input does."""
    pixels, _ = digits
    files = [formats.npy(tmp_path / "b.npy", pixels[:150]), formats.csv(tmp_path / "a.csv", pixels[150:400])]
    inputs = open_inputs([str(file) for file in files], small)
    chunks = list(inputs.chunks(100))
    np.testing.assert_array_equal(rows_of(chunks, 64), pixels[:400])
    assert [chunk.ids for chunk in chunks] == [
        range(100),
        range(100, 150),
        range(150, 250),
        range(250, 350),
        range(350, 400),
    ]
    assert [(c.index, c.first_row) for c in inputs.chunks(100, {0, 1, 2})] == [(3, 250), (4, 350)]


def test_a_glob_stands_for_its_files_in_order(tmp_path, digits, small):
    """Sorted by name, whatever the folder's order."""
    pixels, _ = digits
    for number in (2, 0, 1):
        formats.npy(tmp_path / f"part-{number}.npy", pixels[100 * number :][:100])
    inputs = open_inputs([str(tmp_path / "part-*.npy")], small)
    np.testing.assert_array_equal(rows_of(inputs.chunks(64), 64), pixels[:300])


def test_standard_input_is_json_lines(monkeypatch, digits, small):
    """Objects or bare lists, flat or in rows; it can be read once, and says so."""
    pixels, labels = digits
    text = f'{{"pixels": {pixels[0].tolist()}, "label": {labels[0]}}}\n{pixels[1].tolist()}\n'
    text += f'{{"pixels": {pixels[2].reshape(8, 8).tolist()}, "label": "{labels[2]}"}}'
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
    inputs = open_inputs(["-"], small)
    assert not inputs.replayable
    assert inputs.rows is None
    [chunk] = inputs.chunks(100)
    np.testing.assert_array_equal(chunk.pixels, pixels[:3])
    assert chunk.labels.tolist() == [0, UNKNOWN, 2]


def test_a_batch_too_wide_for_memory_is_read_in_pieces(tmp_path, mnist, large, monkeypatch):
    """Floats of 64 bits are decoded a few rows at a time, and the chunk is whole all the same."""
    monkeypatch.setattr("scoring.readers.tables.parquet._BATCH_BYTES", 8 * 784 * 7)
    decoded, at_once = pq.ParquetFile.iter_batches, set()

    def noting(file, rows, **more):
        at_once.add(rows)
        return decoded(file, rows, **more)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noting)
    file = formats.parquet(tmp_path / "a.parquet", formats.float_lists(mnist[:100]), group=33)
    np.testing.assert_array_equal(rows_of(open_inputs([str(file)], large).chunks(60), 784), mnist[:100])
    assert at_once == {7}


def test_fingerprints_change_with_their_inputs(tmp_path, digits, small):
    """Another byte, another time or another file in a folder is another input."""
    file = formats.npy(tmp_path / "a.npy", digits[0])
    folder = formats.images(tmp_path / "images", digits[0][:3])
    inputs = open_inputs([str(file), str(folder)], small)
    before = inputs.fingerprint()
    assert inputs.fingerprint() == before
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    (folder / "00001.png").write_bytes(b"")
    after = inputs.fingerprint()
    assert after[0]["sha256"] != before[0]["sha256"]
    assert after[1]["sha256"] != before[1]["sha256"]
    file.unlink()
    with pytest.raises(InputError, match=r"a\.npy cannot be read: No such file"):
        inputs.fingerprint()


def test_list_columns_with_offsets(tmp_path, digits, small):
    """Rows are found again in a batch that begins in the middle of its column."""
    file = formats.parquet(tmp_path / "a.parquet", formats.raw(digits[0]), group=1797)
    inputs = open_inputs([str(file)], small)
    [*_, last] = inputs.chunks(500, {0, 1, 2})
    np.testing.assert_array_equal(last.pixels, digits[0][1500:])


def test_bytes_with_an_image_that_is_as_long_as_the_pixels(tmp_path, small, digits):
    """Bytes are raw pixels where there are as many of them as pixels, unless they begin like an image file."""
    image = b"GIF89a".ljust(64, b"\0")
    cells = pa.array([digits[0][0].tobytes(), image], pa.binary())
    file = formats.parquet(tmp_path / "a.parquet", {"pixels": cells})
    [chunk] = open_inputs([str(file)], small).chunks(10)
    np.testing.assert_array_equal(chunk.pixels[0], digits[0][0])
    assert chunk.errors[1].kind == ErrorKind.IMAGE
