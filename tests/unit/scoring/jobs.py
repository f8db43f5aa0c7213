"""Shared by tests of whole jobs: `digits score` in this process and as one of its own, and files in many formats."""

import gzip
import io
import signal
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Event
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from typer.testing import CliRunner

from cli.main import build
from scoring.chunk import Chunk, Shape
from scoring.job import Job
from scoring.journal.journal import Journal
from tests.support.processes import environment, start_digits
from tests.support.server import MODELS

SECONDS = 120
SHAPE = Shape(8, 8, 16, tuple(range(10)), tuple("0123456789"), len)
"""Of a model for which nothing is decoded."""


def start(*arguments: object, stdin: int = subprocess.DEVNULL, **env: str) -> Any:
    """`digits score` with these arguments."""
    return start_digits(
        "score",
        *arguments,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(DIGITS_MODELS=str(MODELS), **env),
    )


def ended(process: Any) -> tuple[int, str, str]:
    """Its exit code, stdout and stderr."""
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def run(*arguments: object, code: int = 0) -> tuple[str, str]:
    """Stdout and stderr of `digits score`, called in this process; it must end with that exit code."""
    with patch("service.telemetry.logs.configure_logs"):  # the logs of this process belong to pytest
        result = CliRunner().invoke(
            build(["score"]), ["score", *map(str, arguments)], env={"DIGITS_MODELS": str(MODELS)}
        )
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code == code, result.stderr
    return result.stdout, result.stderr


@contextmanager
def stopped_after(chunks: int) -> Iterator[None]:
    """Jobs of this process stop as at Ctrl-C once they have stored so many chunks."""
    write, left = Journal.write, [chunks]

    def stop(*given: object) -> pa.RecordBatch:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return write(*given)

    with patch.object(Journal, "write", stop):
        yield


@contextmanager
def held_after(*places: int) -> Iterator[list[Event]]:
    """Jobs of this process wait, once they have read so many chunks, for the event of that place."""
    read, events = Job.chunks, {place: Event() for place in places}

    def chunks_of(job: Job, *done: object) -> Iterator[Chunk]:
        for place, chunk in enumerate(read(job, *done)):
            assert place not in events or events[place].wait(SECONDS), "the test did not release the job"
            yield chunk

    with patch.object(Job, "chunks", chunks_of):
        try:
            yield list(events.values())
        finally:
            for event in events.values():
                event.set()


def kill_and_resume(arguments: list[object], output: Path, longest: float, seed: int) -> int:
    """Kill the job again and again at random moments, resume it until it ends by itself; tells how often."""
    random = Random(seed)
    kills = 0
    while True:
        begun = output.with_name(f"{output.name}.parts").exists()
        if output.exists() and not begun:
            return kills  # killed when all was done
        resume = ["--resume"] if begun else []
        process = start(*arguments, *resume)
        try:
            process.wait(random.uniform(0, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
            ended(process)
            longest *= 1.5  # so that it comes to an end
            continue
        code, _, err = ended(process)
        assert code == 0, err
        return kills


def wait_for_parts(output: Path, count: int) -> None:
    """Until so many chunks are finished."""
    folder = output.with_name(f"{output.name}.parts")
    deadline = time.monotonic() + SECONDS
    while len(list(folder.glob("*.arrow"))) < count:
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.01)


def table(path: Path) -> pa.Table:
    """The output, without the model's identity."""
    return pq.read_table(path).replace_schema_metadata(None)


def write_idx(path: Path, array: np.ndarray) -> Path:
    """An IDX file, packed where the name ends in .gz."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes((gzip.compress if path.suffix == ".gz" else bytes)(head + array.tobytes()))
    return path


ARRAYS = ("a.npy", "b.npz", "c.idx", "d.idx.gz", "e.csv", "f.parquet", "g.parquet", "h.jsonl", "i.csv.gz")
"""One file of each format that holds numbers."""


def write_array(path: Path, pixels: np.ndarray, side: int) -> Path:
    """The pixels, uint8 [N, side*side], in the format of one of `ARRAYS`, by its name."""
    images = pixels.reshape(-1, side, side)
    names = [f"pixel{place}" for place in range(side * side)]
    match path.name:
        case "a.npy":
            np.save(path, images)
        case "b.npz":
            np.savez_compressed(path, pixels=images.astype(np.float32))
        case "c.idx" | "d.idx.gz":
            write_idx(path, images)
        case "e.csv" | "i.csv.gz":
            lines = [",".join(names), *(",".join(map(str, row)) for row in pixels.tolist())]
            text = ("\n".join(lines) + "\n").encode()
            path.write_bytes(gzip.compress(text, 1) if path.suffix == ".gz" else text)
        case "f.parquet":
            pq.write_table(pa.table(dict(zip(names, pixels.T.copy(), strict=True))), path, row_group_size=3000)
        case "g.parquet":
            lists = pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), side * side)
            pq.write_table(pa.table({"image": lists}), path, row_group_size=1700)
        case "h.jsonl":
            path.write_text("".join(f'{{"pixels": {row}}}\n' for row in pixels.tolist()))
    return path


def write_images(folder: Path, pixels: np.ndarray, labels: np.ndarray, side: int, top: int) -> dict[str, Path]:
    """The same pixels as PNG files in folders named after their labels, in a zip and in a tar."""
    folder.mkdir(exist_ok=True)
    files = {}
    for row, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        grey = np.rint(image.reshape(side, side).astype(np.float64) * 255 / top).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "PNG")
        files[f"{label}/{row:05d}.png"] = buffer.getvalue()
    files = dict(sorted(files.items()))
    plain, packed, tape = folder / "images", folder / "images.zip", folder / "images.tar"
    with zipfile.ZipFile(packed, "w") as archive, tarfile.open(tape, "w") as tar:
        for name, data in files.items():
            (plain / name).parent.mkdir(parents=True, exist_ok=True)
            (plain / name).write_bytes(data)
            archive.writestr(name, data)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return {"folder": plain, "zip": packed, "tar": tape}
