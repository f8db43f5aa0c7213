"""Trainings in processes of their own, slow enough to be cut off in the middle."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.support.processes import ROOT

WAIT_SECONDS = 60

_SLOW = """
import sys, time
from pathlib import Path
import training.ensemble, training.train
from training.train import train_all
from MODULE import TINY
plain = training.train.fit
def slow(*given, on_epoch, **named):
    def wait(epoch, loss):
        on_epoch(epoch, loss)
        time.sleep(0.05)
    return plain(*given, on_epoch=wait, **named)
training.train.fit = training.ensemble.fit = slow
train_all([TINY], Path(sys.argv[1]))
"""


def start_slow(module: str, out: Path) -> subprocess.Popen:
    """Train the `TINY` of a test module into `out`, in a process of its own."""
    code = _SLOW.replace("MODULE", module)
    return subprocess.Popen([sys.executable, "-c", code, str(out)], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for(file: Path, process: subprocess.Popen) -> None:
    """Wait until the process has made the file."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not file.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"no {file}"
        time.sleep(0.01)


def contents(folder: Path) -> dict[str, bytes | dict]:
    """Every file of a version, the card without its date."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found["card.json"] = json.loads(found["card.json"])
    del found["card.json"]["date"]
    return found
