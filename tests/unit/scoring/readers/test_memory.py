"""Memory is the same whatever the size of the input."""

import os
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CODE = """
import re, sys
import numpy as np
from imaging.prepare import Prepared
from scoring.chunk import Shape
from scoring.readers.open import open_inputs
shape = Shape(28, 28, 255, tuple(range(10)), tuple("0123456789"), lambda _: Prepared(np.zeros(784, np.uint8), ()))
rows = sum(int(chunk.pixels.any(axis=1).sum()) for chunk in open_inputs(sys.argv[1:], shape).chunks(16384))
# Not ru_maxrss, which begins with the memory of the process that this one was started by.
print(rows, int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""

MIB_MORE = 60
"""What six times as many rows may take more; a reader that kept them would take 150 at least."""


# Reading CSV and lists takes its time.
LONG = bool(os.environ.get("KILL_COUNT"))


def peak(file):
    """Rows that a process of its own read, and its peak memory in MiB."""
    done = subprocess.run([sys.executable, "-c", CODE, str(file)], capture_output=True, text=True, check=True)
    rows, mib = map(int, done.stdout.split())
    return rows, mib


def write_npy(file, pixels, times):
    with file.open("wb") as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(pixels) * times, 784)}
        np.lib.format.write_array_header_1_0(out, header)
        for _ in range(times):
            pixels.tofile(out)


def write_csv(file, pixels, times):
    text = "".join(",".join(map(str, row)) + "\n" for row in pixels.tolist())
    with file.open("w") as out:
        for _ in range(times):
            out.write(text)


def write_parquet(file, pixels, times, kind):
    """As one row group."""
    cells = pa.array([row.tobytes() for row in pixels], pa.binary(784)) if kind == "bytes" else pa.array(list(pixels))
    table = pa.table({"pixels": cells})
    pq.write_table(pa.concat_tables([table] * times), file, row_group_size=10**9, compression="none")


def test_the_files_of_a_tar_are_not_remembered(tmp_path):
    """As Python's tarfile would, with half a kilobyte for each."""
    found = {}
    for count in (2_000, 60_000):
        members = tarfile.TarInfo("a.txt").tobuf() * count + tarfile.TarInfo("empty.png").tobuf()
        (tmp_path / "a.tar").write_bytes(members + bytes(1024))
        found[count] = peak(tmp_path / "a.tar")[1]
    assert found[60_000] < found[2_000] + 13, found


@pytest.mark.parametrize("kind", ["npy", "csv", "parquet bytes", "parquet lists"] if LONG else ["npy", "parquet bytes"])
def test_six_times_as_many_rows_take_the_same_memory(kind, tmp_path, mnist):
    """Even when Parquet has them in one row group."""
    found = {}
    for times in (5, 30):
        file = tmp_path / f"{times}"
        if kind == "npy":
            write_npy(file, mnist, times)
        elif kind == "csv":
            write_csv(file, mnist[:2_000], times)
        else:
            write_parquet(file, mnist[:8_000], times, kind.partition(" ")[2])
        rows, found[times] = peak(file)
        assert rows == times * {"npy": 10_000, "csv": 2_000}.get(kind, 8_000)
        file.unlink()

    assert found[30] < found[5] + MIB_MORE, found
