"""Exactly once: killed at any moment and resumed, the output has the bytes of an undisturbed run."""

import json
import os
import resource
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from scoring import JournalError, score
from scoring.journal.journal import Journal, find_chunks, journal_folder
from tests.support.processes import environment, run_digits
from tests.support.repositories import place
from tests.support.server import MODELS
from tests.unit.scoring.jobs import (
    ended,
    held_after,
    kill_and_resume,
    run,
    start,
    stopped_after,
    table,
    wait_for_parts,
)

KILLS = int(os.environ.get("KILL_COUNT", "2"))
CHUNK = "--chunk-rows=512"


@pytest.fixture(scope="module")
def pixels(mnist_test: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of MNIST's test images."""
    path = tmp_path_factory.mktemp("resume") / "pixels.npy"
    np.save(path, mnist_test[0])
    return path


@pytest.fixture(scope="module")
def seconds(pixels: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the job takes as a process."""
    began = time.monotonic()
    code, _, err = ended(start(pixels, "--out", tmp_path_factory.mktemp("seconds") / "a.csv", CHUNK, "--top-k=2"))
    assert code == 0, err
    return time.monotonic() - began


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_job_killed_at_random_moments_gives_the_bytes_of_an_undisturbed_one(
    pixels: Path, seconds: float, ending: str, tmp_path: Path
):
    """With SIGKILL, from before it begins until it has cleared up; KILL_COUNT=20 for the long form."""
    calm = tmp_path / f"calm.{ending}"
    score(pixels, calm, models=MODELS, chunk_rows=512, top_k=2)
    kills = 0
    for round_ in range(100):
        output = tmp_path / f"out{round_}.{ending}"
        kills += kill_and_resume([pixels, "--out", output, CHUNK, "--top-k=2"], output, 1.1 * seconds, seed=round_)
        assert output.read_bytes() == calm.read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([calm.name, output.name])
        output.unlink()
        if kills >= KILLS:
            return
    pytest.fail(f"{kills} kills only")


def test_a_summary_after_resuming_is_that_of_the_whole(pixels: Path, tmp_path: Path):
    """What an earlier run scored counts, and is told."""
    labels = np.load(pixels)[:, 0].astype(np.uint8) % 10
    np.save(tmp_path / "labels.npy", labels)
    options = ["--labels", tmp_path / "labels.npy", CHUNK, "--json"]
    calm = json.loads(run(pixels, "--out", tmp_path / "calm.parquet", *options)[0])
    output = tmp_path / "out.parquet"
    with stopped_after(3):
        run(pixels, "--out", output, *options, code=130)
    assert not output.exists()
    resumed = json.loads(run(pixels, "--out", output, *options, "--resume")[0])
    assert resumed["resumed_rows"] == 3 * 512
    for key in ("rows", "errors", "digits", "accuracy", "confusion", "labelled"):
        assert resumed[key] == calm[key]
    assert resumed["mean_margin"] == pytest.approx(calm["mean_margin"])


def test_a_job_killed_while_it_cleared_up_is_finished_by_the_next_run(
    pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The output stands, some parts are gone: nothing is scored again, and the summary is that of the whole."""
    output = tmp_path / "out.parquet"

    def half(parts: Journal) -> None:
        next(parts.folder.glob("*.arrow")).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "clear", half)
        with pytest.raises(KeyboardInterrupt):
            score(pixels, output, models=MODELS, chunk_rows=512)
    stood = output.read_bytes()
    summary = score(pixels, output, models=MODELS, chunk_rows=512, resume=True)
    assert (summary.rows, summary.resumed_rows) == (10_000, 10_000)
    assert output.read_bytes() == stood
    assert list(tmp_path.iterdir()) == [output]


def test_a_job_stopped_by_ctrl_c_says_how_to_go_on(pixels: Path, tmp_path: Path):
    """Exit code 130, the parts stay, and the output is not there."""
    output = tmp_path / "out.csv"
    process = start(pixels, "--out", output, "--model=mnist-large", CHUNK)
    wait_for_parts(output, 2)
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code == 130
    assert err.endswith("digits: stopped; the same command with --resume goes on\n")
    assert not output.exists()
    assert find_chunks(journal_folder(output))


def _interrupted(pixels: Path, output: Path, *options: object) -> None:
    with stopped_after(2):
        run(pixels, "--out", output, CHUNK, *options, code=130)


def test_a_job_is_not_resumed_with_other_options(pixels: Path, tmp_path: Path):
    """The sentence names the option, and the parts stay for the right one."""
    output = tmp_path / "out.csv"
    _interrupted(pixels, output)
    _, err = run(pixels, "--out", output, "--chunk-rows=600", "--resume", code=1)
    assert "options.chunk_rows was 512 and is 600" in err
    _, err = run(pixels, "--out", output, CHUNK, code=1)
    assert "go on from there with --resume" in err
    run(pixels, "--out", output, CHUNK, "--resume")
    assert output.read_text().count("\n") == 10_001


def test_a_job_is_not_resumed_on_an_input_that_changed(pixels: Path, tmp_path: Path):
    """Same size, other content."""
    copy, output = tmp_path / "pixels.npy", tmp_path / "out.parquet"
    shutil.copy(pixels, copy)
    _interrupted(copy, output)
    changed = np.load(copy)
    changed[0] += 1
    np.save(copy, changed)
    _, err = run(copy, "--out", output, CHUNK, "--resume", code=1)
    assert "the job is not the one that began: inputs[0]." in err


def test_a_job_is_not_resumed_with_a_model_that_changed(pixels: Path, tmp_path: Path):
    """A newer version is there by now; the one that began can still be named."""
    models, output = tmp_path / "models", tmp_path / "out.parquet"
    place(models, "mnist-16x16", 1)
    _interrupted(pixels, output, "--models", models)
    place(models, "mnist-16x16", 2)
    job = [pixels, "--out", output, CHUNK, "--models", models, "--resume"]
    _, err = run(*job, "--model=mnist-16x16", code=1)
    assert "model.sha256 was" in err
    run(*job, "--model=mnist-16x16:1")


def test_an_output_that_exists_is_left_alone(pixels: Path, tmp_path: Path):
    """It may be anyone's."""
    output = tmp_path / "out.parquet"
    output.write_text("precious")
    _, err = run(pixels, "--out", output, code=1)
    assert "exists already" in err
    assert output.read_text() == "precious"


def test_a_finished_output_has_nothing_to_resume(tmp_path: Path):
    """It is not called in the way, and stays as it is."""
    output = tmp_path / "out.csv"
    np.save(tmp_path / "a.npy", np.zeros((3, 784), np.uint8))
    score(tmp_path / "a.npy", output, models=MODELS)
    stood = output.read_bytes()
    _, err = run(tmp_path / "a.npy", "--out", output, "--resume", code=1)
    assert f"{output} exists already and no parts are left: it is finished, there is nothing to resume" in err
    assert "remove" not in err
    assert output.read_bytes() == stood


def test_two_runs_at_once_do_not_mix(pixels: Path, tmp_path: Path):
    """The second is refused as long as the first runs."""
    output = tmp_path / "out.parquet"
    with held_after(2) as [release], ThreadPoolExecutor() as threads:
        first = threads.submit(score, pixels, output, models=MODELS, chunk_rows=512)
        wait_for_parts(output, 2)
        with pytest.raises(JournalError, match="another run is writing"):
            score(pixels, output, models=MODELS, chunk_rows=512, resume=True)
        release.set()
        assert first.result().rows == 10_000
    assert table(output).num_rows == 10_000


@pytest.mark.parametrize("limit", [5_000, 100_000])
def test_a_disk_that_fills_ends_the_job_and_loses_nothing(pixels: Path, limit: int, tmp_path: Path):
    """While a part or the output is written; with room again the job goes on."""
    calm, output = tmp_path / "calm.parquet", tmp_path / "out.parquet"
    score(pixels, calm, models=MODELS, chunk_rows=512)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        _, err = run(pixels, "--out", output, CHUNK, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot be written: File too large" in err
    assert not output.exists()
    run(pixels, "--out", output, CHUNK, "--resume")
    assert output.read_bytes() == calm.read_bytes()


def test_standard_input_is_scored_and_cannot_be_resumed(tmp_path: Path, mnist_test: tuple[np.ndarray, np.ndarray]):
    """JSON lines through a pipe."""
    lines = "".join(f'{{"pixels": {row}}}\n' for row in mnist_test[0][:50].tolist())
    command = ["score", "-", "--out", str(tmp_path / "out.jsonl"), "--models", str(MODELS)]
    done = run_digits(*command, given=lines, env=environment())
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["digit"] for row in rows][:5] == [7, 2, 1, 0, 4]
    _, err = run("-", "--out", tmp_path / "again.jsonl", "--resume", code=1)
    assert "cannot be read a second time" in err
