"""Installs each peer in its own virtual environment, because their pins of protobuf and NumPy conflict."""

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent.parent / ".cache" / "peers"


class InstallError(Exception):
    """A peer's packages could not be installed; the message says why."""


def environment(peer: str) -> Path:
    """The virtual environment with what `peers/<peer>/requirements.txt` pins, made again when that changes.

    The pins were resolved with Python 3.11; another release may have no wheels for them. Raises `InstallError`.
    """
    requirements = HERE / peer / "requirements.txt"
    place = ENVIRONMENTS / peer
    stamp = place / "installed"
    wanted = f"{sys.version} {hashlib.sha256(requirements.read_bytes()).hexdigest()}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return place
    print(f"installing {peer} into .cache/peers/{peer} (a minute or so, once)", flush=True)
    install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(place)],
        [*install, "--requirement", str(requirements)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise InstallError("\n".join((done.stdout + done.stderr).strip().splitlines()[-5:]))
    stamp.write_text(wanted)
    return place
