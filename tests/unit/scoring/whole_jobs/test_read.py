"""Jobs that read pictures of several digits, and jobs that reject images."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from digits_client import DigitsClient
from PIL import Image

from scoring import InputError, score
from tests.support.pictures import file_of, in_grid, in_line, in_lines
from tests.support.server import MODELS, Server
from tests.unit.scoring.jobs import run, stopped_after, table

COMMITTEE = "mnist-committee"


def written(folder: Path, mnist: np.ndarray) -> Path:
    """Pictures of 72, of 72 above 104, of a grid, a turned one and a blank one, and a file that is none."""
    lines = in_lines([mnist[[0, 35]], mnist[2:5]])
    files = {
        "a.png": file_of(in_line(mnist[[0, 35]])),
        "b.png": file_of(lines),
        "c.png": file_of(in_grid([[mnist[0], None, None], [None, mnist[35], None], [None, None, mnist[0]]])),
        "d.png": file_of(np.rot90(lines)),
        "e.png": file_of(np.zeros((60, 90), np.uint8)),
        "f.png": b"no image",
    }
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def pictures(tmp_path: Path, mnist: np.ndarray) -> Path:
    return written(tmp_path / "in", mnist)


@pytest.fixture(params=["here", "server"])
def where(request: pytest.FixtureRequest, server: Server) -> dict[str, Any]:
    return {"models": MODELS} if request.param == "here" else {"server": server.address}


def test_each_picture_is_a_row(pictures: Path, where: dict[str, Any], tmp_path: Path):
    """With text, score, number of digits, turns and codes; what cannot be read has its error."""
    summary = score(pictures, tmp_path / "out.parquet", model=COMMITTEE, read=True, **where)
    rows = table(tmp_path / "out.parquet").to_pylist()
    assert list(rows[0]) == ["id", "text", "score", "digits", "quarter_turns", "warning_codes", "error"]
    assert [row["id"] for row in rows] == [f"{name}.png" for name in "abcdef"]
    assert [row["text"] for row in rows] == ["72", "72\n104", "7..\n.2.\n..7", "72\n104", "", None]
    assert [row["digits"] for row in rows] == [2, 5, 3, 5, 0, None]
    assert [row["quarter_turns"] for row in rows] == [0, 0, 0, 1, 0, None]
    assert [row["warning_codes"] for row in rows] == [None, None, "lines_removed", "turned", "blank", None]
    assert [row["score"] is None for row in rows] == [False] * 5 + [True]
    assert rows[4]["score"] == 0 < rows[0]["score"] <= 1
    assert [row["error"] is None for row in rows] == [True] * 5 + [False]
    assert rows[5]["error"].startswith("f.png: the bytes are not an image")
    assert (summary.rows, summary.failed, summary.rejected) == (6, 1, None)
    assert summary.errors == {"image that cannot be read": 1}
    assert summary.warnings == {"lines_removed": 1, "turned": 1, "blank": 1}
    assert summary.digits.tolist() == [2, 2, 4, 0, 2, 0, 0, 5, 0, 0]
    assert summary.as_json()["mean_margin"] is None
    assert "15 digits read" in summary.lines()


def test_a_job_says_what_the_server_says(pictures: Path, server: Server, tmp_path: Path):
    """Row by row, here as there."""
    with DigitsClient(server.address, model=COMMITTEE, timeout=60) as client:
        expected = [client.read(pictures / f"{name}.png") for name in "abcde"]
    for place, where in enumerate(({"models": MODELS}, {"server": server.address})):
        output = tmp_path / f"{place}.parquet"
        score([*sorted(pictures.glob("[a-e].png"))], output, model=COMMITTEE, read=True, **where)
        rows = table(output).to_pylist()
        assert [row["text"] for row in rows] == [reading.text for reading in expected]
        assert [row["score"] for row in rows] == pytest.approx([reading.score for reading in expected], abs=1e-6)


def test_rejected_digits(pictures: Path, where: dict[str, Any], tmp_path: Path):
    """Are question marks in the text, and are counted by row and in all."""
    summary = score(pictures, tmp_path / "out.csv", model=COMMITTEE, read=True, reject_above=1e-30, **where)
    assert summary.rejected == summary.as_json()["rejected"] == 15
    assert summary.digits.sum() == 0
    assert "15 digits rejected" in summary.lines()
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == '"id","text","score","digits","quarter_turns","rejected","warning_codes","error"'
    assert lines[1].startswith('"a.png","??",')


def test_archives_and_json_lines(mnist: np.ndarray, tmp_path: Path):
    """Pictures in a zip are read as those of a folder; a table as JSON lines."""
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("x/a.png", file_of(in_line(mnist[[0, 35]])))
    score(tmp_path / "in.zip", tmp_path / "out.jsonl", models=MODELS, read=True)
    [row] = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (row["id"], row["text"], row["digits"]) == ("x/a.png", "72", 2)


def test_a_job_goes_on_where_it_was(pictures: Path, tmp_path: Path):
    """Stopped after some chunks and resumed, it has the table and the summary of one that was not."""
    arguments = [pictures, "--read", "--model", COMMITTEE, "--chunk-rows=1", "--reject-above=0.99"]
    run(*arguments, "--out", tmp_path / "whole.parquet", code=3)
    with stopped_after(3):
        run(*arguments, "--out", tmp_path / "out.parquet", code=130)
    _, told = run(*arguments[:-1], "--resume", "--out", tmp_path / "out.parquet", code=1)
    assert "options.reject_above was 0.99 and is null" in told
    out, _ = run(*arguments, "--resume", "--json", "--out", tmp_path / "out.parquet", code=3)
    assert table(tmp_path / "out.parquet").equals(table(tmp_path / "whole.parquet"))
    summary = json.loads(out)
    assert (summary["rows"], sum(summary["digits"]) + summary["rejected"]) == (6, 15)
    assert summary["warnings"] == {"lines_removed": 1, "turned": 1, "blank": 1}


def test_a_bad_picture_may_end_the_job(pictures: Path, where: dict[str, Any], tmp_path: Path):
    """With on_error="fail"; the error names it."""
    with pytest.raises(InputError, match=r"^f\.png: the bytes are not an image"):
        score(pictures, tmp_path / "out.csv", read=True, on_error="fail", **where)


def test_a_picture_that_no_call_can_carry(start_server, mnist: np.ndarray, tmp_path: Path):
    """Is an error of its row, and the others are read."""
    small = start_server("--max-message-mb=1")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(file_of(in_line(mnist[[0, 35]])))
    Image.fromarray(np.zeros((1100, 1100), np.uint8)).save(tmp_path / "in" / "b.bmp")
    summary = score(tmp_path / "in", tmp_path / "out.parquet", server=small.address, read=True)
    assert summary.failed == 1
    assert table(tmp_path / "out.parquet")["text"].to_pylist() == ["72", None]


def test_a_file_that_cannot_be_opened_is_an_error_of_its_row(mnist: np.ndarray, tmp_path: Path):
    """A link to nowhere among pictures."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "in" / "b.png").write_bytes(file_of(in_line(mnist[[0, 35]])))
    score(tmp_path / "in", tmp_path / "out.parquet", models=MODELS, read=True)
    rows = table(tmp_path / "out.parquet").to_pylist()
    assert rows[-1]["text"] == "72"
    assert all(row["error"] for row in rows[:-1])


@pytest.mark.parametrize("name", ["a.npy", "a.csv"])
def test_arrays_hold_no_pictures(name: str, mnist: np.ndarray, tmp_path: Path):
    """One sentence names the input, and says what is expected; nothing is left."""
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, mnist[:3])
    else:
        path.write_text(",".join(f"pixel{place}" for place in range(784)) + "\n" + ",".join(["0"] * 784) + "\n")
    with pytest.raises(InputError, match=rf"{name} holds no image files to read, expected some, a folder or an arch"):
        score(path, tmp_path / "out.csv", models=MODELS, read=True)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"read": True, "labels": "folder"}, ValueError, "labels cannot be combined with read"),
        ({"read": True, "pixels": "x"}, ValueError, "pixels cannot be combined with read"),
        ({"read": True, "top_k": 2}, ValueError, "top_k cannot be combined with read"),
        ({"read": 1}, TypeError, "read is 1, expected True or False"),
        ({"reject_above": 1}, ValueError, "reject_above is 1, expected more than 0 and less than 1"),
        ({"reject_above": "0.5"}, TypeError, "reject_above is '0.5', expected a number"),
        ({"reject_above": 0.5}, ValueError, "reject_above is 0.5, and mnist-16x16 version 2 cannot tell digits"),
        ({"reject_above": 0.5, "read": True}, ValueError, "reject_above is 0.5, and mnist-16x16 version 2 cannot"),
    ],
)
def test_options_that_cannot_be(pictures: Path, options: dict[str, Any], kind: type, sentence: str, tmp_path: Path):
    """Are named before anything is read or written."""
    with pytest.raises(kind, match=sentence):
        score(pictures, tmp_path / "out.csv", models=MODELS, model="mnist-16x16:2", **options)
    assert list(tmp_path.iterdir()) == [pictures]


def test_a_report_has_nothing_to_draw_of_pictures(pictures: Path, tmp_path: Path):
    """Wrong usage."""
    _, told = run(pictures, "--read", "--report", tmp_path / "r", "--out", tmp_path / "out.csv", code=2)
    assert "--report draws scores, and cannot be combined with --read" in told


def test_rejected_rows(where: dict[str, Any], mnist: np.ndarray, tmp_path: Path):
    """The table has the chance and whether it is above; those of Classify. The summary counts them."""
    noise = np.random.default_rng(5).integers(0, 256, (20, 784), np.uint8)
    images = np.concatenate([mnist[:20], noise])
    np.save(tmp_path / "in.npy", images)
    summary = score(
        tmp_path / "in.npy", tmp_path / "out.parquet", model=COMMITTEE, reject_above=0.5, chunk_rows=7, **where
    )
    found = table(tmp_path / "out.parquet")
    chances = np.array(found["not_a_digit"])
    assert found["rejected"].to_pylist() == (chances > 0.5).tolist()
    assert summary.rejected == summary.as_json()["rejected"] == (chances > 0.5).sum() > 10
    assert f"{summary.rejected} rows rejected" in summary.lines()
    assert chances[20:].min() > chances[:20].mean()
    assert "by shared memory" not in summary.how


def test_rejected_rows_are_those_of_classify(server: Server, mnist: np.ndarray, tmp_path: Path):
    """Row by row."""
    np.save(tmp_path / "in.npy", mnist[:300])
    with DigitsClient(server.address, model=COMMITTEE, timeout=60) as client:
        expected = client.classify(mnist[:300], reject_above=0.01)
    for place, where in enumerate(({"models": MODELS}, {"server": server.address})):
        output = tmp_path / f"{place}.parquet"
        score(tmp_path / "in.npy", output, model=COMMITTEE, reject_above=0.01, **where)
        assert np.array(table(output)["not_a_digit"]) == pytest.approx(
            [each.not_a_digit for each in expected], abs=1e-5
        )


def test_a_row_with_an_error_is_not_rejected(mnist: np.ndarray, tmp_path: Path):
    """It has neither a chance nor a verdict."""
    pixels = mnist[:3].astype(np.int32)
    pixels[1, 5] = -1
    np.save(tmp_path / "in.npy", pixels)
    summary = score(
        tmp_path / "in.npy",
        tmp_path / "o.parquet",
        models=MODELS,
        model=COMMITTEE,
        reject_above=1e-30,
        on_error="record",
    )
    assert pq.read_table(tmp_path / "o.parquet")["rejected"].to_pylist() == [True, None, True]
    assert summary.rejected == 2


def test_a_job_rejects_none_unless_asked_to(mnist: np.ndarray, tmp_path: Path):
    """Then the table is as it was."""
    np.save(tmp_path / "in.npy", mnist[:3])
    summary = score(tmp_path / "in.npy", tmp_path / "out.parquet", models=MODELS, model=COMMITTEE)
    assert summary.rejected is None
    assert not {"rejected", "not_a_digit"} & set(table(tmp_path / "out.parquet").column_names)
