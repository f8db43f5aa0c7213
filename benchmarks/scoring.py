"""`make bench-scoring`: batch jobs from file to file beside a bare loop of onnxruntime, in one run."""

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.load.requests import PREFIX, classify
from benchmarks.report.tables import Table, count, document
from benchmarks.servers import digits_server
from benchmarks.servers.machine_load import MachineLoad, note
from benchmarks.servers.process import ServerCommand, end_on_sigterm, run_server
from scoring.job import CHUNK_ROWS

OUT = Path(__file__).parent / "results"
MNIST = digits_server.ROOT / "tests" / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"
MODELS = digits_server.ROOT / "models"
FEATURES = 784
# Rows of a run in the bare loop, as in the scorer.
RUN_ROWS = 512
GROUP_ROWS = 50_000
PARQUET = {"plain Parquet": "none", "Parquet by snappy": "snappy"}

console = Console()


@dataclass
class JobResults:
    """Results of one way of scoring, one value for each round."""

    images_per_second: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    """User and system time, without a server's."""
    peak_mb: list[float] = field(default_factory=list)
    """Greatest resident memory of the process, MiB."""

    def as_json(self) -> dict[str, list[float]]:
        """For the file of results."""
        return {"images_per_second": self.images_per_second, "cpu_seconds": self.cpu_seconds, "peak_mb": self.peak_mb}


def main() -> None:
    """Measure, print, and write `scoring.md` and `scoring.json`."""
    parser = argparse.ArgumentParser(prog="make bench-scoring")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--front", choices=digits_server.fronts(), action="append", help="default: all there are")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for what is written")
    parser.add_argument(
        "--data", type=Path, default=digits_server.CACHE / "scoring", help="folder for inputs and outputs"
    )
    parser.add_argument("--make", type=int, help="only make the inputs of so many rows")
    parser.add_argument("--bare", type=Path, help="only run the bare loop over this .npy file")
    parser.add_argument("--threads", type=int, default=1, help="of the bare loop")
    chosen = parser.parse_args()
    if chosen.bare:
        sys.stdout.write(json.dumps({"images_per_second": bare_loop(chosen.bare, chosen.threads)}) + "\n")
        return
    if chosen.make:
        make_inputs(chosen.data, chosen.make)
        return
    end_on_sigterm()
    inputs = {}
    for rows in (chosen.rows, max(chosen.rows // 10, 1)):
        # In another process: the peak memory of this one would count for all its children.
        command = [sys.executable, "-m", "benchmarks.scoring", f"--make={rows}", f"--data={chosen.data}"]
        subprocess.run(command, cwd=digits_server.ROOT, check=True)
        inputs[rows] = input_paths(chosen.data, rows)
    machine_load = MachineLoad()
    figures: dict[str, JobResults] = {}
    fronts = chosen.front or digits_server.fronts()
    for round_ in range(chosen.rounds):
        for name, measure in ways(inputs, chosen.rows, fronts, chosen.data):
            console.print(f"round {round_ + 1} of {chosen.rounds}: {name}", style="dim", highlight=False)
            measure(figures.setdefault(name, JobResults()))
    shown = result_table(figures, chosen.rows)
    shown.show(console)
    busy = note(machine_load.share())
    console.print(busy)
    results = {"rows": chosen.rows, "setting": busy, "ways": {name: each.as_json() for name, each in figures.items()}}
    (chosen.out / "scoring.json").write_text(json.dumps(results, indent=1) + "\n")
    page = document("Batch scoring: last results", "make bench-scoring", [shown], busy)
    (chosen.out / "scoring.md").write_text(page)
    console.print(f"written to {chosen.out}")


def cores() -> int:
    """Number of usable cores."""
    return len(os.sched_getaffinity(0))


BARE_ONE = "onnxruntime alone on arrays in memory, 1 core"


def bare_all() -> str:
    """The name of the bare loop on all cores."""
    return f"onnxruntime alone on arrays in memory, {cores()} cores"


Way = tuple[str, Callable[[JobResults], None]]


def ways(inputs: dict[int, dict[str, Path]], rows: int, fronts: list[str], data: Path) -> Iterator[Way]:
    """The measurements of a round in their order."""
    fewer = min(inputs)
    for name, threads in ((BARE_ONE, 1), (bare_all(), cores())):
        yield name, lambda figures, threads=threads: measure_bare(figures, inputs[rows]["npy"], threads)
    for size in (rows, fewer):
        for kind, file in inputs[size].items():
            yield f"--local, {kind}, {size:,} rows", lambda figures, file=file: measure_job(figures, file, data)
    for front in fronts:
        for flags in ((), (f"--workers={cores()}", "--max-batch-rows=4096")):
            for memory in (PREFIX, ""):
                by = "shared memory" if memory else "gRPC"
                told = " ".join(flags) or "as it comes"
                name = f"--server, {front} front, {told}, {by}, npy"
                yield (
                    name,
                    lambda figures, front=front, flags=flags, memory=memory: measure_server(
                        figures, inputs[rows]["npy"], data, front, flags, memory
                    ),
                )


def input_paths(folder: Path, rows: int) -> dict[str, Path]:
    """The input files with `rows` rows."""
    return {"npy": folder / f"{rows}.npy"} | {kind: folder / f"{rows}-{name}.parquet" for kind, name in PARQUET.items()}


def make_inputs(folder: Path, rows: int) -> None:
    """Write MNIST's test images, repeated, as npy and as Parquet with one column of bytes, unless they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.frombuffer(gzip.decompress(MNIST.read_bytes()), np.uint8, offset=16).reshape(-1, FEATURES)
    paths = input_paths(folder, rows)
    if not paths["npy"].exists():
        console.print(f"making {rows:,} rows in {folder}", style="dim")
        unfinished = folder / "unfinished.npy"
        array = np.lib.format.open_memmap(unfinished, "w+", np.uint8, (rows, 28, 28))
        for start in range(0, rows, len(pixels)):
            array[start : start + len(pixels)] = pixels[: rows - start].reshape(-1, 28, 28)
        array.flush()
        del array
        unfinished.rename(paths["npy"])
    for kind, compression in PARQUET.items():
        if paths[kind].exists():
            continue
        unfinished = folder / "unfinished.parquet"
        schema = pa.schema([("pixels", pa.binary(FEATURES))])
        with pq.ParquetWriter(unfinished, schema, compression=compression, use_dictionary=False) as writer:
            for start in range(0, rows, GROUP_ROWS):
                places = np.arange(start, min(start + GROUP_ROWS, rows)) % len(pixels)
                values = pa.py_buffer(np.ascontiguousarray(pixels[places]))
                column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(FEATURES), len(places), [None, values])
                writer.write_table(pa.table([column], schema=schema), row_group_size=len(places))
        unfinished.rename(paths[kind])


def bare_loop(file: Path, threads: int) -> float:
    """Images per second of onnxruntime over an array in memory, without input and output files."""
    from artifact.names import INPUT, LABEL, SCORES
    from engine.models.providers import candidates, open_session

    array = np.fromfile(file, np.uint8)[-np.load(file, mmap_mode="r").size :].reshape(-1, FEATURES)
    session = open_session((MODELS / "mnist-16x16" / "2" / "model.onnx").read_bytes(), candidates("cpu")[0], 1)

    def run(start: int) -> None:
        for first in range(start, min(start + 16 * RUN_ROWS, len(array)), RUN_ROWS):
            session.run([LABEL, SCORES], {INPUT: array[first : first + RUN_ROWS]})

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(0, 100 * RUN_ROWS, 16 * RUN_ROWS)))
        began = time.perf_counter()
        list(pool.map(run, range(0, len(array), 16 * RUN_ROWS)))
        return len(array) / (time.perf_counter() - began)


def measure_bare(figures: JobResults, file: Path, threads: int) -> None:
    """The bare loop, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scoring", f"--bare={file}", f"--threads={threads}"]
    told, *_ = in_process(command)
    figures.images_per_second.append(told["images_per_second"])


def measure_job(figures: JobResults, file: Path, data: Path, *options: str) -> None:
    """`digits score`, from file to file."""
    output = data / "scores.parquet"
    output.unlink(missing_ok=True)
    shutil.rmtree(f"{output}.parts", ignore_errors=True)
    command = [
        digits_server.program("digits"),
        "score",
        str(file),
        "--json",
        f"--out={output}",
        "--model=mnist-16x16:2",
        *options,
    ]
    if not options:
        command.append(f"--models={MODELS}")
    told, cpu_seconds, peak_mb = in_process(command)
    figures.images_per_second.append(told["images_per_second"])
    figures.cpu_seconds.append(cpu_seconds)
    figures.peak_mb.append(peak_mb)
    output.unlink()


def measure_server(
    figures: JobResults, file: Path, data: Path, front: str, flags: tuple[str, ...], memory: str
) -> None:
    """`digits score` with a server on this host."""
    plain = digits_server.digits(front)
    server = ServerCommand(plain.name, (*plain.command, *flags))
    with run_server(server, classify(1), digits_server.LOGS) as up:
        measure_job(figures, file, data, f"--server=127.0.0.1:{up.port}", f"--shared-memory={memory}")


def in_process(command: list[str]) -> tuple[dict[str, float], float, float]:
    """The JSON that a command prints, its CPU seconds and its greatest resident memory in MiB."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, cwd=digits_server.ROOT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        out.seek(0)
        return json.loads(out.read()), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def result_table(figures: dict[str, JobResults], rows: int) -> Table:
    """Rates relative to the bare loop, and memory; medians over the rounds."""
    columns = ["", "images/s", "of the bare loop on all cores", "CPU time for a million images", "peak memory"]
    shown = Table(f"mnist-16x16, {rows:,} images of 28×28", columns)
    floor = figures[bare_all()].images_per_second
    for name, each in figures.items():
        parts = [rate / bare for rate, bare in zip(each.images_per_second, floor, strict=True)]
        size = rows if f" {rows // 10:,} rows" not in name else rows // 10
        cpu = f"{statistics.median(each.cpu_seconds) / size * 1e6:.2f} s" if each.cpu_seconds else "–"
        peak = f"{statistics.median(each.peak_mb):.0f} MiB" if each.peak_mb else "–"
        rate = count(statistics.median(each.images_per_second))
        shown.rows.append([name, rate, f"{statistics.median(parts):.0%}", cpu, peak])
    shown.notes.append(
        f"From file to file: reading, scoring, a durable part for each {CHUNK_ROWS:,} rows and the table in Parquet. "
        "CPU time and memory are those of `digits score`, start included; a server has the same cores."
    )
    return shown


if __name__ == "__main__":
    main()
