"""`digits read` on real files, with a server and without."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import file_of, in_grid, in_line, in_lines
from tests.support.processes import ROOT, run_digits

COMMITTEE = "--model=mnist-committee"


def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    kept = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR")}
    return run_digits("read", *arguments, given=stdin, cwd=ROOT, env=kept | {"COLUMNS": "100"}, text=False)


def objects(done: subprocess.CompletedProcess[bytes]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def where(server) -> str:
    return f"--server={server.address}"


@pytest.fixture
def two(tmp_path: Path, mnist_test) -> Path:
    """A picture of 72."""
    path = tmp_path / "two.png"
    path.write_bytes(file_of(in_line(mnist_test[0][[0, 35]])))
    return path


@pytest.fixture
def lines(tmp_path: Path, mnist_test) -> Path:
    """A picture of 72 above 104."""
    path = tmp_path / "lines.png"
    path.write_bytes(file_of(in_lines([mnist_test[0][[0, 35]], mnist_test[0][2:5]])))
    return path


def test_each_file_is_one_json_object(where, two, lines):
    """Text, score, lines, digits with box and scores, size, turns, warnings and model, in the order of the files."""
    done = run(two, lines, where, COMMITTEE, "--json")
    assert done.returncode == 0, done.stderr
    found, other = objects(done)
    assert (found["file"], found["text"], other["text"]) == (str(two), "72", "72\n104")
    assert [line["text"] for line in other["lines"]] == ["72", "104"]
    assert found["score"] == pytest.approx(found["lines"][0]["score"])
    assert (found["width"], found["height"]) == Image.open(two).size
    assert (found["quarter_turns"], found["warnings"], found["warning_codes"]) == (0, [], [])
    assert found["model"]["name"] == "mnist-committee"
    seven, digit = found["lines"][0]["digits"]
    assert (seven["digit"], digit["digit"]) == (7, 2)
    assert np.argmax(seven["scores"]) == 7
    assert seven["candidates"][0] == 7
    assert (seven["field"], seven["rejected"]) == (None, False)
    assert seven["box"]["left"] + seven["box"]["width"] <= digit["box"]["left"]


def test_a_grid_has_the_field_of_each_digit(where, tmp_path, mnist_test):
    """Row and column, from 0."""
    seven, two = mnist_test[0][[0, 35]]
    (tmp_path / "grid.png").write_bytes(file_of(in_grid([[seven, None, None], [None, two, None], [None, None, seven]])))
    [found] = objects(run(tmp_path / "grid.png", where, COMMITTEE, "--json"))
    assert found["text"] == "7..\n.2.\n..7"
    assert [line["columns"] for line in found["lines"]] == [3, 3, 3]
    assert found["lines"][1]["digits"][0]["field"] == {"row": 1, "column": 1}
    assert found["warning_codes"] == ["lines_removed"]


def test_server_and_local_agree(where, two, lines):
    """The same text, boxes and scores come from a server and from this process."""
    remote, local = (objects(run(two, lines, option, "--json")) for option in (where, "--local"))
    assert remote == local
    assert remote[0]["text"] == "72"


def test_lines_in_the_terminal(where, two, lines):
    """The file, then each line of digits with its score, aligned; colours only where there are some."""
    done = run(lines, two, where, COMMITTEE)
    assert done.returncode == 0
    text = done.stdout.decode().splitlines()
    assert text[0] == f"{lines}  by mnist-committee 2"
    assert [line[:7] for line in text[1:3]] == ["  72   ", "  104  "]
    assert text[1].endswith("%")
    assert text[4].startswith(str(two))
    assert b"\x1b" not in done.stdout


def test_a_picture_turned_and_one_without_digits(where, lines, tmp_path):
    """Are told."""
    Image.open(lines).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png")
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    text = run(tmp_path / "turned.png", tmp_path / "blank.png", where, COMMITTEE).stdout.decode()
    assert "  104" in text
    assert text.count("was turned") == 1
    assert "  warning: the picture was turned until its digits stood upright\n" in text
    assert "  no digits\n  warning: the image is blank: no ink was found\n" in text


def test_a_bad_file_does_not_stop_the_others(where, two, tmp_path):
    """It has its error in its place, on stderr in the terminal; the exit code is 1. A dash is standard input."""
    text = tmp_path / "text.png"
    text.write_text("seven")
    done = run(text, tmp_path / "nowhere.png", "-", where, "--json", stdin=two.read_bytes())
    assert done.returncode == 1
    first, second, third = objects(done)
    assert first["error"].startswith("the bytes are not an image")
    assert second["error"] == "No such file or directory"
    assert third["text"] == "72"
    local = run(text, two, "--local")
    assert local.returncode == 1
    assert local.stderr.decode().startswith(f"digits: {text}: the bytes are not an image")
    assert b"  72" in local.stdout


def test_a_file_larger_than_a_message(start_server, two, tmp_path):
    """Is refused here, with its size."""
    small = start_server("--max-message-mb=1")
    Image.fromarray(np.zeros((1100, 1100), np.uint8)).save(tmp_path / "large.bmp")
    done = run(tmp_path / "large.bmp", two, f"--server={small.address}", "--json")
    assert done.returncode == 1
    large, other = objects(done)
    assert "bytes, more than" in large["error"]
    assert other["text"] == "72"


def test_rejected_digits(where, two):
    """Below the chance of any image all are, and the text has a question mark for each."""
    [found] = objects(run(two, where, COMMITTEE, "--reject-above=1e-30", "--json"))
    assert found["text"] == "??"
    assert [digit["rejected"] for digit in found["lines"][0]["digits"]] == [True, True]
    assert run(two, where, COMMITTEE, "--reject-above=2").returncode == 2
    refused = run(two, where, "--model=mnist-16x16:2", "--reject-above=0.5")
    assert refused.returncode == 1
    assert (
        refused.stderr == b"digits: --reject-above: model mnist-16x16 version 2 cannot tell digits from other images\n"
    )


def test_boxes_are_drawn_where_the_digits_are(where, two, tmp_path):
    """On the picture in grey; a box is green, that of a rejected digit red."""
    for flag, colour in (("--timeout=20", (31, 120, 60)), ("--reject-above=1e-30", (200, 60, 30))):
        done = run(two, where, COMMITTEE, "--json", flag, f"--boxes={tmp_path / 'boxes.png'}")
        assert done.returncode == 0, done.stderr
        drawn = np.asarray(Image.open(tmp_path / "boxes.png"))
        assert drawn.shape[:2] == Image.open(two).size[::-1]
        [found] = objects(done)
        for digit in found["lines"][0]["digits"]:
            box = digit["box"]
            right, bottom = box["left"] + box["width"], box["top"] + box["height"]
            for row, col in ((box["top"], box["left"]), (bottom, right)):
                assert tuple(drawn[row, col]) == colour


def test_boxes_of_a_picture_that_was_turned(where, lines, tmp_path):
    """The picture is drawn as it was read."""
    Image.open(lines).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png")
    assert run(tmp_path / "turned.png", where, COMMITTEE, f"--boxes={tmp_path / 'boxes.png'}").returncode == 0
    assert Image.open(tmp_path / "boxes.png").size == Image.open(lines).size


@pytest.mark.parametrize(
    ("count", "name", "sentence"), [(2, "two.png", "give one FILE"), (1, "two.gif", "ends in .png")]
)
def test_boxes_that_cannot_be_drawn(two, tmp_path, count, name, sentence):
    """Of several pictures, or in another format: wrong usage, before anything is done."""
    done = run(*[two] * count, "--server=localhost:1", f"--boxes={tmp_path / name}")
    assert done.returncode == 2
    assert sentence in done.stderr.decode()


def test_boxes_that_cannot_be_written(two, where, tmp_path):
    """One sentence with the name."""
    done = run(two, where, f"--boxes={tmp_path / 'none' / 'boxes.png'}")
    assert done.returncode == 1
    assert done.stderr.decode() == f"digits: {tmp_path}/none/boxes.png cannot be written: No such file or directory\n"


def test_no_server():
    """Without a server one sentence says so, and what to do."""
    done = run(__file__, "--server=127.0.0.1:1")
    assert done.returncode == 1
    assert b"digits serve" in done.stderr
    assert done.stderr.count(b"\n") == 1
