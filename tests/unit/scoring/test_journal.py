"""The journal: every finished chunk is there once and whole, whatever moment the job was killed at."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from scoring.chunk import UNKNOWN, Chunk, ErrorKind, RowError
from scoring.journal.errors import JournalError
from scoring.journal.journal import Journal
from scoring.writers.columns import Columns
from scoring.writers.write import FORMATS, Format
from tests.unit.scoring.jobs import SHAPE

COLUMNS = Columns(named=False, shape=SHAPE)
JOB = {"inputs": [{"path": "a.npy", "size": 5}], "model": {"name": "digits", "version": "1"}}
ROWS = 50
COUNT = 6


def chunk_of(index: int) -> Chunk:
    errors = {3: RowError(ErrorKind.NAN, f"row {index * ROWS + 3} is bad")} if index == 2 else {}
    rows = range(index * ROWS, (index + 1) * ROWS)
    return Chunk(index, rows.start, np.zeros((ROWS, 64), np.uint8), rows, errors, None)


def scores_of(index: int) -> np.ndarray:
    scores = np.random.default_rng(index).random((ROWS, 10), np.float32)
    return scores / scores.sum(axis=1, keepdims=True)


def write(parts: Journal, *indices: int) -> None:
    for index in indices:
        scores = scores_of(index)
        parts.write(chunk_of(index), scores.argmax(axis=1), scores)


def finish(parts: Journal, count: int, format_: Format, metadata: dict[str, str]) -> None:
    """Make the output of parts that are all there."""
    parts.start_output(format_, metadata)
    parts.finish(count, {"told": 1})


def whole(output: Path) -> bytes:
    """The bytes of a job that nothing disturbed."""
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        write(parts, *range(COUNT))
        finish(parts, COUNT, "parquet", {"model": "digits"})
    content = output.read_bytes()
    output.unlink()
    return content


def test_parts_in_any_order_over_several_runs_give_the_same_bytes(tmp_path):
    """And nothing but the output is left."""
    output = tmp_path / "out.parquet"
    expected = whole(output)
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        write(parts, 4, 0, 1)
    assert not output.exists()
    with Journal.open(output, JOB, COLUMNS, resume=True) as parts:
        assert parts.done == {0, 1, 4}
        write(parts, 5, 3, 2)
        finish(parts, COUNT, "parquet", {"model": "digits"})
    assert output.read_bytes() == expected
    assert os.listdir(tmp_path) == ["out.parquet"]


def test_resuming_what_never_began_begins(tmp_path):
    """So that one command serves a loop; a run that got nowhere is begun anew without a word."""
    output = tmp_path / "out.parquet"
    for resume in (True, False, True):
        with Journal.open(output, JOB | {"seed": resume}, COLUMNS, resume=resume) as parts:
            assert parts.done == set()


def test_parts_of_an_earlier_run_are_not_lost_by_a_new_one(tmp_path):
    """The sentence says how to go on."""
    output = tmp_path / "out.parquet"
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        write(parts, 0, 1)
    with pytest.raises(JournalError, match=r"out\.parquet\.parts holds 2 finished chunks .* --resume"):
        Journal.open(output, JOB, COLUMNS, resume=False)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (JOB | {"inputs": [{"path": "a.npy", "size": 6}]}, r"inputs\[0\]\.size was 5 and is 6"),
        (JOB | {"inputs": []}, r"inputs was \[\{.*\}\] and is \[\]"),
        (JOB | {"model": {"name": "digits", "version": "2"}}, 'model.version was "1" and is "2"'),
        (JOB | {"top_k": 3}, "top_k was null and is 3"),
    ],
)
def test_another_job_does_not_go_on(job, message, tmp_path):
    """The sentence names what is not as it was."""
    output = tmp_path / "out.parquet"
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        write(parts, 0)
    with pytest.raises(
        JournalError, match=f"the job is not the one that began: {message}; run it as it was, or remove"
    ):
        Journal.open(output, job, COLUMNS, resume=True)


def test_two_runs_at_once_are_refused(tmp_path):
    """The second one ends with a sentence, the first one goes on."""
    output = tmp_path / "out.parquet"
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        for resume in (True, False):
            with pytest.raises(JournalError, match=r"another run is writing .*out\.parquet"):
                Journal.open(output, JOB, COLUMNS, resume=resume)
        write(parts, 0)
    Journal.open(output, JOB, COLUMNS, resume=True).__exit__()


def test_an_output_that_exists_stays(tmp_path):
    """Before the job, and when it comes to exist while it runs; then the parts stay too."""
    output = tmp_path / "out.csv"
    output.write_text("mine")
    for resume in (True, False):
        with pytest.raises(JournalError, match=r"out\.csv exists already"):
            Journal.open(output, JOB, COLUMNS, resume=resume)
    output.unlink()
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        write(parts, 0)
        output.write_text("mine")
        with pytest.raises(JournalError, match=r"out\.csv came to exist since the job began"):
            finish(parts, 1, "csv", {})
    with pytest.raises(JournalError, match=r"out\.csv exists already"):
        Journal.open(output, JOB, COLUMNS, resume=True)
    assert output.read_text() == "mine"
    output.unlink()
    with Journal.open(output, JOB, COLUMNS, resume=True) as parts:
        assert parts.done == {0}
        finish(parts, 1, "csv", {})
    assert output.read_text().count("\n") == ROWS + 1


def test_a_folder_that_is_not_there(tmp_path):
    """Nor one that may not be written to."""
    with pytest.raises(JournalError, match=r"cannot be written: there is no folder .*nowhere"):
        Journal.open(tmp_path / "nowhere" / "out.csv", JOB, COLUMNS, resume=False)
    file = tmp_path / "out.csv.parts"
    file.write_text("")
    with pytest.raises(JournalError, match=r"out\.csv\.parts cannot be written: File exists"):
        Journal.open(tmp_path / "out.csv", JOB, COLUMNS, resume=False)


def test_parts_that_are_missing_or_damaged(tmp_path):
    """The sentence names the part, and the others are kept."""
    output = tmp_path / "out.csv"
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        write(parts, 0, 2)
        with pytest.raises(JournalError, match=r"000000001\.arrow is missing"):
            finish(parts, 3, "csv", {})
    with Journal.open(output, JOB, COLUMNS, resume=True) as parts:
        write(parts, 1)
        part = parts.folder / "000000001.arrow"
        part.write_bytes(part.read_bytes()[:500])
        with pytest.raises(JournalError, match=r"000000001\.arrow is damaged .* remove it and go on with --resume"):
            finish(parts, 3, "csv", {})
    part.unlink()
    assert not output.exists()
    with Journal.open(output, JOB, COLUMNS, resume=True) as parts:
        assert parts.done == {0, 2}


@pytest.mark.parametrize("format_", FORMATS)
def test_a_disk_that_fills(format_, tmp_path):
    """While parts or the output are written: a sentence, nothing half there, and what is finished is kept."""
    output = tmp_path / f"out.{format_}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        write(parts, *range(20))
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
            with pytest.raises(JournalError, match=r"cannot be written: File too large; 20 finished chunks are kept"):
                write(parts, 20)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
            with pytest.raises(
                JournalError, match=r"out.* cannot be written: .*; 20 finished chunks are kept, go on with"
            ):
                finish(parts, 20, format_, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not output.exists()
    with Journal.open(output, JOB, COLUMNS, resume=True) as parts:
        assert parts.done == set(range(20))
        finish(parts, 20, format_, {})
    assert output.exists()


def test_a_full_device_is_named(tmp_path, monkeypatch):
    """The system's own words."""
    output = tmp_path / "out.csv"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(JournalError, match="cannot be written: No space left on device"):
            write(parts, 0)
        assert parts.done == set()


# Forks, so that a run takes milliseconds rather than the time of its imports.
RUNS = """
import os, random, shutil, signal, sys, time
from pathlib import Path
output = Path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
from tests.unit.scoring.test_journal import COLUMNS, COUNT, JOB, Journal, finish, whole, write
seed = random.Random(7)
expected = None
killed = finished = 0
longest = 0.002
while finished < 5:
    child = os.fork()
    if not child:
        with Journal.open(output, JOB, COLUMNS, resume=True) as parts:
            write(parts, *(index for index in range(COUNT) if index not in parts.done))
            finish(parts, COUNT, "parquet", {"model": "digits"})
        os._exit(0)
    time.sleep(seed.random() * longest)
    longest *= 1.1
    os.kill(child, signal.SIGKILL)
    killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    if output.exists():
        expected = expected or output.read_bytes()
        assert output.read_bytes() == expected
        finished += 1
        longest = 0.002
        output.unlink()
        shutil.rmtree(f"{output}.parts", ignore_errors=True)
assert whole(output) == expected
print(killed)
"""


def test_killed_at_any_moment(tmp_path):
    """Run again and again, each time killed a little later: the output is there whole or not at all, and the same."""
    root = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-c", RUNS, str(tmp_path / "out.parquet"), root]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5


@pytest.mark.parametrize("stage", ["nothing removed", "parts removed", "job removed"])
def test_killed_while_it_clears_up(stage, tmp_path):
    """The output stands; a run that resumes finds it for its own and finishes the clearing."""
    output = tmp_path / "out.parquet"
    expected = whole(output)
    with Journal.open(output, JOB, COLUMNS, resume=False) as parts:
        write(parts, *range(COUNT))
        kept = tmp_path / "kept"

        def stop(_: Path) -> None:
            shutil.copytree(parts.folder, kept)
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("scoring.journal.journal.sync", stop)
            with pytest.raises(KeyboardInterrupt):
                finish(parts, COUNT, "parquet", {"model": "digits"})
    folder = parts.folder
    if stage != "nothing removed":
        for part in folder.glob("*.arrow"):
            part.unlink()
    if stage == "job removed":
        (folder / "job.json").unlink()
    with Journal.open(output, JOB, COLUMNS, resume=True) as parts:
        assert parts.finished_tally == {"told": 1}
        parts.clear()
    assert output.read_bytes() == expected
    assert not folder.exists()


def test_what_a_part_holds(tmp_path):
    """The table's columns, the kind of each error, and the labels."""
    chunk = Chunk(
        0,
        0,
        np.zeros((3, 64), np.uint8),
        range(3),
        {1: RowError(ErrorKind.LENGTH, "bad")},
        np.array([4, UNKNOWN, 2], np.int32),
    )
    scores = np.zeros((3, 10), np.float32)
    scores[[0, 1, 2], [4, 5, 6]] = 1
    with Journal.open(tmp_path / "out.csv", JOB, COLUMNS, resume=False) as parts:
        written = parts.write(chunk, np.array([4, 5, 6]), scores)
        part = parts.read(0)
    assert part == written
    assert part.column("digit").to_pylist() == [4, None, 6]
    assert part.column("kind").to_pylist() == [None, "wrong number of pixels", None]
    assert part.column("label").to_pylist() == [4, None, 2]
    assert part.column("error").to_pylist() == [None, "bad", None]


def test_the_metadata_of_parquet_and_its_form(tmp_path):
    """The model's identity is in the schema; rows of several parts share a row group."""
    output = tmp_path / "out.parquet"
    output.write_bytes(whole(output))
    file = pq.ParquetFile(output)
    assert file.schema_arrow.metadata == {b"model": b"digits"}
    assert file.num_row_groups == 1
    assert json.loads(json.dumps(file.read(["id"]).column("id").to_pylist())) == list(range(COUNT * ROWS))
