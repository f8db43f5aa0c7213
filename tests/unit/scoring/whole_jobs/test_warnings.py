"""What Classify warns of stands in the table and is counted in the summary; bools are no ink or full ink."""

import json
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from digits_client import DigitsClient
from PIL import Image

from scoring import score
from tests.support.server import MODELS, Server
from tests.unit.imaging.pictures import SIDE, ruled, seven
from tests.unit.scoring.jobs import ARRAYS, run, table, write_array

LOOKS_WRONG = {
    "scaled": lambda pixels: (pixels > 127).astype(np.uint8),
    "inverted": lambda pixels: 255 - pixels,
    "blank": np.zeros_like,
}


@pytest.fixture
def some(mnist: np.ndarray) -> np.ndarray:
    """Fifty images, of which one in ten is of each kind that looks wrong."""
    pixels = mnist[:50].copy()
    for first, spoil in enumerate(LOOKS_WRONG.values()):
        pixels[first::10] = spoil(pixels[first::10])
    return pixels


@pytest.mark.parametrize("chunk_rows", [7, 1000])
def test_the_table_has_what_classify_warns_of_wherever_it_is_scored(
    some: np.ndarray, server: Server, chunk_rows: int, tmp_path: Path
):
    """In the same words, row by row; counted by its code, in this process as on a server."""
    np.save(tmp_path / "in.npy", some)
    with DigitsClient(server.address) as client:
        expected = [answer.warnings for answer in client.classify(some)]
    assert sum(map(len, expected)) == 15
    for where in ({"models": MODELS}, {"server": server.address}):
        output = tmp_path / f"{next(iter(where))}.parquet"
        summary = score(tmp_path / "in.npy", output, chunk_rows=chunk_rows, **where)
        assert summary.warnings == summary.as_json()["warnings"] == {"scaled": 5, "inverted": 5, "blank": 5}
        found = table(output)["warnings"].to_pylist()
        assert found == ["; ".join(each) or None for each in expected]
        assert table(output)["error"].null_count == len(some)


PICTURES = {
    "blank": np.ones((SIDE, SIDE), np.float32),
    "lines_removed": ruled(seven(), step=60),
    "low_contrast": 0.7 + 0.08 * seven(),
    "plain": seven(),
    "several_marks": np.concatenate([seven(), seven()], axis=1)[:, 40:-40],
    "touches_border": seven()[70:],
}


def _png(picture: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(np.uint8(255 * picture)).save(file, "PNG")
    return file.getvalue()


def _write_files(path: Path, files: list[bytes]) -> Path:
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.table({"image": files}), path)
        case ".jsonl":
            path.write_text("".join(json.dumps({"image": b64encode(file).decode()}) + "\n" for file in files))
        case _:
            path.mkdir()
            for place, file in enumerate(files):
                (path / f"{place}.png").write_bytes(file)
    return path


@pytest.mark.parametrize("name", ["folder", "a.parquet", "b.jsonl"])
def test_what_the_preparation_saw_is_warned_of(name: str, server: Server, tmp_path: Path):
    """For image files in every format, in the words of Classify; counted by its code, wherever they are scored."""
    files = [_png(picture) for picture in PICTURES.values()]
    with DigitsClient(server.address) as client:
        expected = [client.classify(file).warnings for file in files]
    assert [len(each) for each in expected] == [int(kind != "plain") for kind in PICTURES]
    source = _write_files(tmp_path / name, files)
    for where in ({"models": MODELS}, {"server": server.address}):
        output = tmp_path / f"{next(iter(where))}.parquet"
        summary = score(source, output, chunk_rows=4, **where)
        assert summary.warnings == {kind: 1 for kind in PICTURES if kind != "plain"}
        assert table(output)["warnings"].to_pylist() == ["; ".join(each) or None for each in expected]


def test_an_empty_page_among_images_is_warned_of(tmp_path: Path):
    """A picture without ink gets a digit like any other, and a warning beside it."""
    (tmp_path / "in").mkdir()
    Image.new("L", (200, 200), 255).save(tmp_path / "in" / "empty.png")
    output = tmp_path / "a.csv"
    out, _ = run(tmp_path / "in", "--out", output, "--report", tmp_path / "report")
    head, row = output.read_text().splitlines()
    assert head.endswith("margin,warnings,error".replace(",", '","') + '"')
    assert "blank" in row
    for told in (out, (tmp_path / "report" / "report.md").read_text()):
        assert [line for line in told.splitlines() if "1 with a warning: " in line and "blank" in line]
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["warnings"] == {"blank": 1}


def test_a_row_with_an_error_has_no_warning(some: np.ndarray, tmp_path: Path):
    """Zeros stand in its place, which nobody sees."""
    pixels = some.astype(np.int32)
    pixels[2, 5] = -1  # a blank one
    np.save(tmp_path / "in.npy", pixels)
    summary = score(tmp_path / "in.npy", tmp_path / "a.parquet", models=MODELS, on_error="record")
    assert (summary.errors, summary.warnings["blank"]) == ({"negative": 1}, 4)
    row = table(tmp_path / "a.parquet").to_pylist()[2]
    assert (row["warnings"], "-1" in row["error"]) == (None, True)


def test_warnings_of_an_earlier_run_count_as_well(some: np.ndarray, tmp_path: Path):
    """A job that was stopped and resumed has the table and the counts of one that was not."""
    pixels = some.astype(np.float32)
    pixels[45, 3] = np.nan
    np.save(tmp_path / "in.npy", pixels)
    output = tmp_path / "a.parquet"
    run(tmp_path / "in.npy", "--out", output, "--chunk-rows=10", code=1)
    out, _ = run(
        tmp_path / "in.npy", "--out", output, "--chunk-rows=10", "--on-error=record", "--resume", "--json", code=3
    )
    assert json.loads(out)["warnings"] == {"scaled": 5, "inverted": 5, "blank": 5}


@pytest.mark.parametrize("name", ARRAYS)
def test_pixels_of_zero_and_one_are_warned_of_in_every_format(name: str, mnist: np.ndarray, tmp_path: Path):
    """They are in the range, and look scaled."""
    file = write_array(tmp_path / name, (mnist[:30] > 127).astype(np.uint8), 28)
    summary = score(file, tmp_path / "a.parquet", models=MODELS)
    assert summary.warnings == {"scaled": 30}


def _write_bools(path: Path, ink: np.ndarray) -> Path:
    names = [f"pixel{place}" for place in range(784)]
    match path.name:
        case "a.npy":
            np.save(path, ink.reshape(-1, 28, 28))
        case "b.npz":
            np.savez(path, pixels=ink)
        case "c.parquet":
            pq.write_table(pa.table(dict(zip(names, ink.T.copy(), strict=True))), path)
        case "d.parquet":
            pq.write_table(pa.table({"image": ink.tolist()}), path)
        case "e.jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in ink.tolist()))
    return path


@pytest.mark.parametrize("name", ["a.npy", "b.npz", "c.parquet", "d.parquet", "e.jsonl"])
def test_a_bool_is_no_ink_or_full_ink(name: str, mnist: np.ndarray, tmp_path: Path):
    """In every format that has bools: the scores are those of 0 and the top of the range, without a warning."""
    ink = mnist[:30] > 127
    np.save(tmp_path / "expected.npy", ink * np.uint8(255))
    score(tmp_path / "expected.npy", tmp_path / "expected.parquet", models=MODELS)
    summary = score(_write_bools(tmp_path / name, ink), tmp_path / "a.parquet", models=MODELS)
    assert summary.warnings == {}
    assert table(tmp_path / "a.parquet").equals(table(tmp_path / "expected.parquet"))


@pytest.mark.parametrize("lists", [False, True], ids=["columns", "lists"])
def test_a_bool_that_is_missing_leaves_the_others_as_they_are(lists: bool, mnist: np.ndarray, tmp_path: Path):
    """In its row and in those beside it."""
    ink: list[list[bool | None]] = (mnist[:5] > 127).tolist()
    ink[1][300] = None
    columns = (
        {"image": ink} if lists else {f"pixel{place}": list(each) for place, each in enumerate(zip(*ink, strict=True))}
    )
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    summary = score(tmp_path / "in.parquet", tmp_path / "a.parquet", models=MODELS, on_error="record")
    assert (summary.errors, summary.warnings) == ({"missing": 1}, {})
