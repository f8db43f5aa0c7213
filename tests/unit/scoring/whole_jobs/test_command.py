"""`digits score` as people call it: exit codes, sentences, summary, report, progress."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from scoring import InputError, score
from scoring.reporting.progress import progress
from tests.support.server import MODELS, Server
from tests.unit.scoring.conftest import MNIST
from tests.unit.scoring.jobs import ended, run, start, write_images


@pytest.fixture(scope="module")
def files(mnist_test: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, labels, and rows of which one is bad."""
    folder = tmp_path_factory.mktemp("files")
    pixels, labels = mnist_test
    np.save(folder / "good.npy", pixels[:500])
    np.save(folder / "labels.npy", labels[:500])
    bad = pixels[:500].astype(np.float64)
    bad[7, 3], bad[450, 0] = np.nan, -1
    np.save(folder / "bad.npy", bad)
    (write_images(folder, pixels[:20], labels[:20], 28, 255)["folder"] / "0" / "broken.png").write_bytes(
        b"not a picture"
    )
    return folder


@pytest.mark.parametrize(
    ("options", "code"), [(["none.npy"], 1), (["good.npy", "--top-k=11"], 2), (["bad.npy", "--on-error=record"], 3)]
)
def test_the_process_has_the_exit_code_of_the_command(files: Path, options: list[str], code: int, tmp_path: Path):
    """Started as a program: the sentence of a failed job is its only line on standard error."""
    got, out, err = ended(start(files / options[0], "--out", tmp_path / "a.csv", *options[1:]))
    assert got == code
    if code < 3:
        assert (out, err.count("\n"), err.startswith("digits: ")) == ("", 1, True)


def test_a_summary_for_people_and_one_for_machines(files: Path, tmp_path: Path):
    """Rows, rate, mean margin, accuracy and confusion matrix."""
    labels = ["--labels", files / "labels.npy", "--model=mnist-16x16:2"]
    out, _ = run(files / "good.npy", "--out", tmp_path / "a.parquet", *labels)
    assert out.startswith("500 rows by mnist-16x16 version 2, in this process, CPUExecutionProvider on ")
    assert "\naccuracy 98.00%: 490 of 500 labelled rows\ntrue \\ found" in out
    out, _ = run(files / "good.npy", "--out", tmp_path / "b.parquet", *labels, "--top-k=3", "--json")
    told = json.loads(out)
    assert (told["rows"], told["errors"], told["accuracy"], told["model"]["version"]) == (500, {}, 0.98, "2")
    assert 0.98 < told["top_k_accuracy"] <= 1
    assert np.array(told["confusion"]).sum() == 500


def test_the_table_says_which_model_it_is_of(files: Path, tmp_path: Path):
    """In the metadata of Parquet: name, version, SHA-256 and provider."""
    run(files / "good.npy", "--out", tmp_path / "a.parquet", "--model=mnist-16x16:1")
    metadata = pq.read_schema(tmp_path / "a.parquet").metadata
    assert (metadata[b"name"], metadata[b"version"]) == (b"mnist-16x16", b"1")
    assert (len(metadata[b"sha256"]), metadata[b"provider"]) == (64, b"CPUExecutionProvider")


def test_top_k_names_the_best_digits_in_order(files: Path, tmp_path: Path):
    """Beside all scores."""
    score(files / "good.npy", tmp_path / "a.parquet", models=MODELS, top_k=3)
    table = pq.read_table(tmp_path / "a.parquet")
    scores = np.stack([table[f"score_{digit}"].to_numpy() for digit in range(10)], axis=1)
    best = np.argsort(-scores, axis=1)[:, :3]
    for place in range(3):
        assert (table[f"top_{place + 1}"].to_numpy() == best[:, place]).all()
    assert (table["top_1"].to_numpy() == table["digit"].to_numpy()).all()
    assert np.allclose(table["margin"].to_numpy(), np.sort(scores)[:, -1] - np.sort(scores)[:, -2])


def test_a_bad_row_ends_the_job_or_is_recorded(files: Path, tmp_path: Path):
    """By default it fails, naming file, row and column; --on-error record goes on, and the exit code tells."""
    output = tmp_path / "a.csv"
    _, err = run(files / "bad.npy", "--out", output, "--chunk-rows=100", code=1)
    assert f"{files / 'bad.npy'}, row 7, column 3" in err
    assert not output.exists()
    out, _ = run(files / "bad.npy", "--out", output, "--chunk-rows=100", "--on-error=record", "--json", code=3)
    assert json.loads(out)["errors"] == {"not a number": 1, "negative": 1}
    table = pyarrow.csv.read_csv(output)
    assert [row for row, text in enumerate(table["error"].to_pylist()) if text] == [7, 450]
    assert table["digit"].null_count == table["score_9"].null_count == table["margin"].null_count == 2


def test_a_job_that_failed_at_a_bad_row_goes_on_by_recording_it(files: Path, tmp_path: Path):
    """What was scored before it is kept, and the table is that of a job that recorded from the start."""
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    _, err = run(files / "bad.npy", "--out", first, "--chunk-rows=3", code=1)
    assert "2 finished chunks are kept, --resume goes on from there" in err
    run(files / "bad.npy", "--out", first, "--chunk-rows=3", "--on-error=record", "--resume", code=3)
    run(files / "bad.npy", "--out", second, "--chunk-rows=3", "--on-error=record", code=3)
    assert first.read_bytes() == second.read_bytes()


def test_an_image_that_cannot_be_read_is_recorded_unless_told_otherwise(files: Path, tmp_path: Path):
    """With its name and the reason; the others have their scores."""
    out, _ = run(files / "images", "--out", tmp_path / "a.parquet", "--labels=folder", "--json", code=3)
    assert json.loads(out)["errors"] == {"image that cannot be read": 1}
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == 21
    [bad] = [row for row in rows if row["error"]]
    assert bad["id"] == "0/broken.png"
    assert bad["digit"] is None
    _, err = run(files / "images", "--out", tmp_path / "b.parquet", "--on-error=fail", code=1)
    assert "broken.png" in err


def test_a_link_to_an_image_that_is_gone_is_recorded(files: Path, tmp_path: Path):
    """As any image that cannot be read, and the others have their scores."""
    folder = tmp_path / "images"
    write_images(tmp_path, np.zeros((2, 784)), np.zeros(2, int), 28, 255)
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    summary = score(folder, tmp_path / "a.parquet", models=MODELS)
    assert (summary.rows, summary.errors) == (3, {"image that cannot be read": 1})
    errors = {row["id"]: row["error"] for row in pq.read_table(tmp_path / "a.parquet").to_pylist() if row["error"]}
    assert list(errors) == ["gone.png"]
    assert "it cannot be read: No such file or directory" in errors["gone.png"]


def test_a_report_is_pictures_and_text(files: Path, tmp_path: Path):
    """The summary as JSON as well."""
    run(
        *(files / "good.npy", "--out", tmp_path / "a.csv", "--labels", files / "labels.npy"),
        *("--model=mnist-16x16:2", "--report", tmp_path / "report"),
    )
    names = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert names == ["confusion.png", "digits.png", "report.md", "summary.json"]
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["rows"] == 500
    assert "Accuracy 98.00%" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize("name", ["report", "report/below"])
def test_a_report_that_has_no_room_is_refused_before_the_work(name: str, files: Path, tmp_path: Path):
    """A file of that name stays as it is, and no table is written."""
    (tmp_path / "report").write_text("precious")
    _, err = run(files / "good.npy", "--out", tmp_path / "a.csv", "--report", tmp_path / name, code=1)
    assert f"{tmp_path / name} is not a folder and cannot become one" in err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--out=scores.txt"], "has the suffix of no format"),
        (["--out=a.csv", "--server=x:1", "--local"], "--local cannot be combined with --server"),
        (["--out=a.csv", "--server=x:1", "--engine=ray"], "--engine ray cannot be combined with --server"),
        (["--out=a.csv", "--server=no/address"], "expected HOST:PORT"),
        (["--out=a.csv", "--patience=3"], "--patience has an effect only with --server"),
        (["--out=a.csv", "--shared-memory=x-"], "--shared-memory has an effect only with --server"),
        (["--out=a.csv", "--calls=4", "--local"], "--calls has an effect only with --server"),
        (["--out=a.csv", "--actors=2"], "--actors has an effect only with --engine ray"),
        (["--out=a.csv", "--address=auto", "--server=x:1"], "--address has an effect only with --engine ray"),
        (["", "--out=a.csv"], "inputs[1] is '', expected a path"),
        (["--out=a.csv", "--top-k=11"], "has 10 classes"),
        (["--out=a.csv", "--chunk-rows=0"], "chunk-rows"),
        (["--out=a.csv", "--format=xml"], "xml"),
    ],
)
def test_wrong_usage_has_an_exit_code_of_its_own(
    files: Path, options: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    _, err = run(files / "good.npy", *options, code=2)
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.npy"], "missing.npy does not exist"),
        (["good.npy", "--model=none"], "there is no model 'none'"),
        (["good.npy", "--model=mnist-16x16:9"], "has no version '9'; it has 1, 2, 3, 4"),
        (["good.npy", "--model=digits-8x8"], "for images of 8×8"),
        (["good.npy", "--provider=cuda"], ""),
        (["good.npy", "--models=nowhere"], "models folder nowhere does not exist"),
        (["good.npy", "--labels=labels.txt"], ""),
    ],
)
def test_what_cannot_be_is_one_sentence(
    files: Path, arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Exit code 1, or for a provider that is not there the next one, as on a server."""
    monkeypatch.chdir(files)
    (files / "labels.txt").write_text("1\n2\n")
    code = 0 if "--provider=cuda" in arguments else 1
    _, err = run(*arguments, "--out", tmp_path / "a.csv", code=code)
    assert sentence in err
    assert len(err.splitlines()) == code


def test_the_port_for_http_is_named_as_the_wrong_one(files: Path, server: Server, tmp_path: Path):
    """And nothing is begun."""
    address = f"127.0.0.1:{server.http_port}"
    _, err = run(files / "good.npy", "--out", tmp_path / "a.csv", "--server", address, code=1)
    assert err.startswith(f"digits: {address} is no gRPC server: it answered with HTTP status 4")
    assert err.endswith("; a digits server takes gRPC on port 8001 by default\n")
    assert list(tmp_path.iterdir()) == []


def test_a_job_on_standard_input_that_is_stopped_promises_nothing(tmp_path: Path):
    """It cannot be resumed; any other one can."""
    for name, sentence in (
        ("-", "digits: stopped\n"),
        (str(MNIST), "digits: stopped; the same command with --resume goes on\n"),
    ):
        output = tmp_path / f"{len(name)}.csv"
        rows = 10_000 if name == "-" else 1
        process = start(name, "--out", output, f"--chunk-rows={rows}", stdin=subprocess.PIPE)
        if name == "-":
            assert process.stdin is not None
            process.stdin.write(f"{[0] * 784}\n" * 500)
            process.stdin.flush()
        while not output.with_name(f"{output.name}.parts").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
        assert (code, err) == (130, sentence)


def test_progress_without_a_terminal_is_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Rows, rate, errors and the time left."""
    monkeypatch.setattr("scoring.reporting.progress.LINE_SECONDS", 0.0)
    with progress(1000, 200) as on_rows:
        on_rows(300, 2)
    line = capsys.readouterr().err
    assert line.startswith("scored 500 of 1,000 rows, ")
    assert "2 errors" in line
    assert line.endswith(" s left\n")


def test_progress_in_a_terminal_is_a_bar(files: Path, tmp_path: Path):
    """Drawn by a real terminal's rules."""
    import pty

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "cli.main", "score"]
    code = "from cli.main import main; main()"
    command = [sys.executable, "-c", code, "score", str(files / "good.npy"), "--out", str(tmp_path / "a.csv")]
    process = subprocess.Popen(
        [*command, "--models", str(MODELS)], stderr=follower, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    assert process.wait() == 0
    assert b"500 rows" in shown


def test_from_python_errors_are_exceptions(files: Path, tmp_path: Path):
    """With the sentences that the command prints."""
    with pytest.raises(InputError, match=r"row 7, column 3"):
        score(files / "bad.npy", tmp_path / "a.csv", models=MODELS)
    with pytest.raises(ValueError, match="no inputs"):
        score([], tmp_path / "b.csv", models=MODELS)


def test_it_works_beside_messages_that_tritonclient_registers(files: Path, tmp_path: Path):
    """Both know `inference.ModelInferRequest`; ours is in a pool of its own."""
    code = (
        "import digits_protocol.inference.open_inference_pb2 as theirs\n"  # registers the names, as tritonclient does
        "import scoring\n"
        "from digits_client.inference import message\n"
        "assert message('ModelInferRequest') is not theirs.ModelInferRequest\n"
        "assert message('ModelInferRequest')(id='a').SerializeToString() == "
        "theirs.ModelInferRequest(id='a').SerializeToString()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    first = "from digits_client.inference import message; message('ModelInferRequest')\n"
    subprocess.run([sys.executable, "-c", first + "import digits_protocol.inference.open_inference_pb2"], check=True)
