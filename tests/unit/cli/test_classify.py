"""`digits classify` on real files, with a server and without."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.calibrated_model import export_sure
from tests.support.pictures import file_of, in_line
from tests.support.processes import ROOT, run_digits


def run(*arguments: object, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command's result; colours are off unless the environment asks for them."""
    kept = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR")}
    return run_digits(
        "classify", *arguments, given=stdin, cwd=ROOT, env=kept | {"COLUMNS": "100"} | environment, text=False
    )


def objects(done: subprocess.CompletedProcess[bytes]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def files(tmp_path: Path, mnist_test) -> list[Path]:
    """The first three test digits, 7, 2 and 1, as black ink on white."""
    paths = []
    for index, name in enumerate(("seven", "two", "one")):
        image = Image.fromarray(255 - mnist_test[0][index].reshape(28, 28))
        paths.append(tmp_path / f"{name}.png")
        image.resize((140, 140)).save(paths[-1])
    return paths


@pytest.fixture(params=["server", "local"])
def where(request: pytest.FixtureRequest) -> list[str]:
    """The options that say who answers."""
    if request.param == "local":
        return ["--local"]
    return [f"--server={request.getfixturevalue('server').address}"]


def test_each_file_is_one_json_object(where, files):
    """--json gives one line for each file, in order, with scores, warnings and the model."""
    done = run(*files, *where, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    found = objects(done)
    assert [each["digit"] for each in found] == [7, 2, 1]
    assert [each["file"] for each in found] == [str(file) for file in files]
    assert sum(found[0]["scores"]) == pytest.approx(1, abs=1e-5)
    assert found[0]["model"]["name"] == "mnist-256x128"
    assert "activations" not in found[0]


def test_a_bad_file_does_not_stop_the_others(where, files, tmp_path):
    """Files that are missing, no image, or folders get an error of their own; the rest is answered; exit code 1."""
    text = tmp_path / "text.png"
    text.write_text("seven")
    truncated = tmp_path / "truncated.png"
    truncated.write_bytes(files[0].read_bytes()[:200])
    done = run(files[0], tmp_path / "nowhere.png", text, tmp_path, truncated, files[1], *where, "--json")
    assert done.returncode == 1
    found = objects(done)
    assert [each.get("digit") for each in found] == [7, None, None, None, None, 2]
    errors = [each.get("error", "") for each in found]
    assert "No such file" in errors[1]
    assert "not an image" in errors[2]
    assert "directory" in errors[3]
    assert "truncated" in errors[4]
    assert done.stderr == b""


def test_server_and_local_agree(server, files):
    """The same scores come from a server and from this process."""
    remote, local = (objects(run(*files, option, "--json")) for option in (f"--server={server.address}", "--local"))
    assert remote == local


def test_stdin(where, files):
    """A dash reads one image from stdin."""
    assert objects(run("-", *where, "--json", stdin=files[1].read_bytes()))[0]["digit"] == 2


def test_another_model_with_activations(where, files):
    """--model takes a version, --activations adds every layer."""
    found = objects(run(files[0], *where, "--model=digits-8x8:1", "--activations", "--json"))[0]
    assert (found["model"]["name"], found["model"]["version"]) == ("digits-8x8", "1")
    assert len(found["activations"]["pixels"]) == 64
    assert max(found["activations"]["pixels"]) <= 16


@pytest.mark.parametrize(
    ("name", "words"), [("x", b"there is no model 'x'; there is digits-8x8"), ("mnist-16x16:9", b"no version '9'")]
)
def test_an_unknown_model_is_named(where, files, name, words):
    """An unknown model or version ends the command with one sentence that says what there is."""
    done = run(files[0], *where, f"--model={name}")
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_more_files_than_one_call_takes(start_server, files):
    """With a server that takes two images a call, five files are all answered, a bad one among them."""
    small = start_server("--max-batch-rows=2", "--max-queue-rows=2")
    names = [files[0], files[1], Path(__file__), files[2], files[0]]
    found = objects(run(*names, f"--server={small.address}", "--json"))
    assert [each.get("digit") for each in found] == [7, 2, None, 1, 7]


def test_a_file_larger_than_a_message(start_server, files, tmp_path):
    """A file that no call can carry is refused here, with its size; the others are answered."""
    small = start_server("--max-message-mb=1")
    large = tmp_path / "large.bmp"
    Image.fromarray(np.zeros((1100, 1100), np.uint8)).save(large)
    done = run(large, files[0], f"--server={small.address}", "--json")
    assert done.returncode == 1
    found = objects(done)
    assert "bytes, more than" in found[0]["error"]
    assert found[1]["digit"] == 7


def test_the_drawing(server, files):
    """Without a colour terminal: the digit in blocks, ten bars, the file and the answer on top."""
    done = run(files[0], f"--server={server.address}", "--activations")
    assert done.returncode == 0
    text = done.stdout.decode()
    lines = text.splitlines()
    assert lines[0].startswith(f"{files[0]}  7  by mnist-256x128 ")
    bars = [line for line in lines if line.endswith("%")]
    assert len(bars) == 10
    assert "7 ███" in bars[7]
    assert sum("█" in line[:30] for line in lines) > 5
    assert "hidden_2" in text
    assert "\x1b" not in text


def test_colours_only_where_they_are_wanted(server, files):
    """A colour terminal gets shades of grey; NO_COLOR takes them off again."""
    colours = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
    assert b"\x1b[38;2;" in run(files[0], f"--server={server.address}", **colours).stdout
    assert b"38;2;" not in run(files[0], f"--server={server.address}", **colours, NO_COLOR="1").stdout


def test_warnings_and_errors_in_the_drawing(server, files, tmp_path):
    """A blank image is drawn with its warning; a bad file is told on stderr with its name."""
    Image.new("L", (50, 50), 255).save(tmp_path / "blank.png")
    done = run(tmp_path / "blank.png", tmp_path / "nowhere.png", f"--server={server.address}")
    assert done.returncode == 1
    assert "warning: the image is blank" in done.stdout.decode()
    assert done.stderr.decode() == f"digits: {tmp_path}/nowhere.png: No such file or directory\n"


def test_no_server():
    """Without a server one sentence says so, and what to do."""
    done = run(__file__, "--server=127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith(b"digits: cannot reach 127.0.0.1:1: Connection refused")
    assert b"digits serve" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_local_without_models(tmp_path):
    """--local with a models folder that is missing is one sentence."""
    done = run(__file__, "--local", f"--models={tmp_path / 'none'}")
    assert done.returncode == 1
    assert b"none does not exist" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_classes_that_cannot_be_ruled_out(files, tmp_path):
    """In --json always, in the drawing where a coverage is named; more of them at a greater one."""
    export_sure(tmp_path)
    where = ["--local", f"--models={tmp_path}"]
    usual, few, many = (
        [each["candidates"] for each in objects(run(*files, *where, *named, "--json"))]
        for named in ([], ["--coverage=0.8"], ["--coverage=0.999"])
    )
    assert [len(each) for each in many] == [10, 10, 10]
    assert few != usual != many
    assert all(more[: len(less)] == less for less, more in zip(few + usual, usual + many, strict=True))
    drawn = run(*files, *where, "--coverage=0.8").stdout.decode()
    for each in few:
        assert f"  cannot be ruled out: {', '.join(map(str, each)) or 'none'}\n" in drawn
    assert "ruled out" not in run(*files, *where).stdout.decode()


def test_a_coverage_needs_thresholds(where, files):
    """A model without them is named, once and not for each file; what is no share is wrong usage."""
    done = run(*files, *where, "--model=mnist-16x16:2", "--coverage=0.9")
    assert done.returncode == 1
    assert done.stderr == b"digits: --coverage: model mnist-16x16 version 2 has no thresholds to rule out classes by\n"
    done = run(*files, *where, "--coverage=99")
    assert done.returncode == 2
    assert done.stderr == b"digits: --coverage is 99, expected more than 0 and less than 1\n"


def test_images_that_are_rejected(where, files):
    """`rejected` is in --json, and in the drawing with its chance."""
    committee = [*where, "--model=mnist-committee"]
    for chance, rejected in (("0.999", False), ("1e-30", True)):
        found = objects(run(*files, *committee, f"--reject-above={chance}", "--json"))
        assert [each["rejected"] for each in found] == [rejected] * 3
        assert (b"  rejected, no digit: " in run(*files, *committee, f"--reject-above={chance}").stdout) == rejected


def test_rejecting_needs_a_model_that_can_tell(where, files):
    """A model that cannot is named, once and not for each file; what is no share is wrong usage."""
    done = run(*files, *where, "--model=mnist-16x16:2", "--reject-above=0.9")
    assert done.returncode == 1
    assert done.stderr == b"digits: --reject-above: model mnist-16x16 version 2 cannot tell digits from other images\n"
    done = run(*files, *where, "--reject-above=1")
    assert done.returncode == 2
    assert done.stderr == b"digits: --reject-above is 1, expected more than 0 and less than 1\n"


def test_several_marks_are_for_digits_read(where, tmp_path, mnist_test, files):
    """The warning has its code in --json, and the drawing says which command reads them."""
    (tmp_path / "two.png").write_bytes(file_of(in_line(mnist_test[0][:2])))
    [found] = objects(run(tmp_path / "two.png", *where, "--json"))
    assert found["warning_codes"] == ["several_marks"]
    assert (
        b"  `digits read` reads the digits of a picture that has several\n" in run(tmp_path / "two.png", *where).stdout
    )
    assert b"digits read" not in run(files[0], *where).stdout


def test_an_unsure_default_model_names_a_larger_one(tmp_path, mnist_test):
    """Where its margin is low or it has several candidates, and unless the user chose the model.

    The larger one has learned from the same people at least; without one there is no hint.
    """
    paths = [tmp_path / f"{index}.png" for index in range(100)]
    for image, path in zip(mnist_test[0], paths, strict=False):
        Image.fromarray(255 - image.reshape(28, 28)).save(path)
    default = {"DIGITS_DEFAULT_MODEL": "mnist-16x16"}
    found = objects(run(*paths, "--local", "--json", **default))
    unsure = {each["file"] for each in found if each["margin"] < 0.5 or len(each["candidates"]) > 1}
    assert 0 < len(unsure) < 50
    text = run(*paths, "--local", **default).stdout.decode()
    hinted = set()
    for line in text.splitlines():
        if line.startswith(str(tmp_path)):
            file = line.split("  ")[0]
        elif line.startswith("  unsure, "):
            assert line.endswith(": a larger model may know, --model mnist-committee")
            hinted.add(file)
    assert hinted == unsure
    assert b"larger model" not in run(*unsure, "--local", "--model=mnist-16x16", **default).stdout
    doubtful = tmp_path / "doubtful.png"
    doubtful.write_bytes(file_of(255 - mnist_test[0][659].reshape(28, 28)))
    largest = {"DIGITS_DEFAULT_MODEL": "mnist-committee"}
    [found] = objects(run(doubtful, "--local", "--json", **largest))
    assert found["margin"] < 0.5
    assert b"larger model" in run(doubtful, "--local").stdout
    assert b"larger model" not in run(doubtful, "--local", **largest).stdout


@pytest.mark.parametrize("options", [["--local", "--server=localhost:1"], ["--models=models", "--server=localhost:1"]])
def test_options_that_exclude_each_other(options):
    """--server and --local, and --models without --local, are wrong usage."""
    done = run(__file__, *options)
    assert done.returncode == 2
    assert done.stderr.startswith(b"digits: --")


@pytest.mark.parametrize("address", ["", ":", "http://x", "host:99999"])
def test_an_address_that_cannot_be_one(address):
    """A malformed address is wrong usage, in one sentence."""
    done = run(__file__, f"--server={address}")
    assert done.returncode == 2
    assert (
        done.stderr.decode()
        == f"digits: the server's address is '{address}', expected HOST:PORT, e.g. localhost:8001\n"
    )


@pytest.mark.parametrize(("model", "ending"), [("mnist-16x16:1", "png"), ("mnist-large", "png"), ("digits-8x8", "svg")])
def test_a_picture_of_the_network_at_work(files, tmp_path, model, ending):
    """Narrow and wide networks, in the format that the name says; the answer is printed as ever."""
    picture = tmp_path / f"seven.{ending}"
    done = run(files[0], "--local", f"--model={model}", f"--picture={picture}", "--json")
    assert done.returncode == 0, done.stderr
    assert "activations" not in objects(done)[0]
    if ending == "svg":
        assert picture.read_bytes().count(b"<path") > 300
    else:
        assert len(Image.open(picture).convert("RGB").getcolors(2**24)) > 500


@pytest.mark.parametrize(
    ("count", "name", "sentence"), [(2, "two.png", "give one FILE"), (1, "seven.gif", "ends in .png, .pdf, .svg")]
)
def test_a_picture_that_cannot_be_is_refused_before_anything_is_done(files, tmp_path, count, name, sentence):
    """Of several digits at once, or in a format that is not known."""
    done = run(*files[:count], "--server=localhost:1", f"--picture={tmp_path / name}")
    assert done.returncode == 2
    assert sentence in done.stderr.decode()


def test_a_picture_is_drawn_of_real_numbers(server, files, tmp_path):
    """Another digit gives another picture, the same one the same bytes, whoever answers."""
    pictures = [tmp_path / f"{number}.png" for number in range(3)]
    remote = f"--server={server.address}"
    for file, picture, where in zip((files[0], files[0], files[1]), pictures, (remote, "--local", remote), strict=True):
        assert run(file, where, f"--picture={picture}").returncode == 0
    first, same, other = (picture.read_bytes() for picture in pictures)
    assert first == same
    assert first != other
