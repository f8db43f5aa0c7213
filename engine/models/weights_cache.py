"""Large weights in files that processes map, so that all servers on a machine share one copy of them.

onnxruntime copies the weights of a model into memory of the process, in the order in which its kernels read them. For a
large model that is done once, into a file beside a graph that refers to it. `model.onnx` stays what is served and what
its SHA-256 names: the files are derived from it, by this onnxruntime, for this processor.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import onnxruntime

from engine.log import log
from engine.models.providers import CPU, session_options

GRAPH, WEIGHTS, DIGEST = "model.onnx", "weights.bin", "sha256"
# Smaller models gain nothing that is worth a file.
MIN_BYTES = 4 * 2**20
# An entry that no server has opened for so long is removed when another is made.
KEEP_SECONDS = 30 * 86_400


class WeightsCache:
    """A folder with one entry for each model, onnxruntime and processor."""

    def __init__(self, folder: Path | None) -> None:
        """Use `folder`, which is made when it is needed; None: no cache."""
        self._folder = folder

    def find(self, model: bytes, sha256: str) -> Path | None:
        """The ONNX file that is `model` with its weights mapped; made if there is none, in a fraction of a second.

        None for a small model, and where the folder cannot be used. `sha256` is that of `model`. An entry whose bytes
        have changed since it was made is made anew.
        """
        if self._folder is None or len(model) < MIN_BYTES:
            return None
        entry = self._entry(sha256)
        try:
            with _locked(self._folder):
                if not _is_whole(entry):
                    shutil.rmtree(entry, ignore_errors=True)
                    _remove_old(self._folder)
                    _derive(model, entry)
                os.utime(entry)
        except Exception as error:  # onnxruntime has no common base for what it raises
            log.info("weights not cached", folder=str(self._folder), reason=str(error))
            return None
        return entry / GRAPH

    def remove(self, sha256: str) -> None:
        """Forget an entry that turned out to be broken. Processes that have mapped it keep it."""
        shutil.rmtree(self._entry(sha256), ignore_errors=True)

    def _entry(self, sha256: str) -> Path:
        assert self._folder is not None, "only then are there entries"
        return self._folder / f"{sha256[:32]}-{onnxruntime.__version__}-{processor()}"


NO_CACHE = WeightsCache(None)


def default_folder() -> Path | None:
    """`digits` in the user's cache folder, by the XDG Base Directory Specification; None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "digits"
    except RuntimeError:
        return None


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Names what this processor can do: kernels order weights by it."""
    text = platform.machine()
    with suppress(OSError):
        lines = (line for line in cpuinfo.read_text().splitlines() if line.lower().startswith(("flags", "features")))
        text += next(lines, "")
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time make entries. Raises `OSError` where others may write to the folder."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    stat = folder.stat()
    if stat.st_uid != os.geteuid() or stat.st_mode & 0o022:
        raise PermissionError(f"{folder} belongs to another user, or others may write to it")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _derive(model: bytes, entry: Path) -> None:
    """Write the entry aside, then rename it: one that has its name is whole."""
    with tempfile.TemporaryDirectory(prefix=".making-", dir=entry.parent) as making:
        config = session_options(threads=1)
        config.optimized_model_filepath = f"{making}/{GRAPH}"
        for key, value in {
            "optimized_model_external_initializers_file_name": WEIGHTS,
            "optimized_model_external_initializers_min_size_in_bytes": "1024",
            "save_external_prepacked_constant_initializers": "1",
        }.items():
            config.add_session_config_entry(f"session.{key}", value)
        onnxruntime.InferenceSession(model, config, providers=[CPU])
        whole = Path(making, "whole")
        whole.mkdir()
        for name in (GRAPH, WEIGHTS):
            Path(making, name).rename(whole / name)
        (whole / DIGEST).write_text(_digest(whole))
        whole.rename(entry)


def _digest(entry: Path) -> str:
    """The SHA-256 of both files, one after the other."""
    digest = hashlib.sha256()
    for name in (GRAPH, WEIGHTS):
        with (entry / name).open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()


def _is_whole(entry: Path) -> bool:
    """Whether the entry is there with the bytes that it was made with."""
    try:
        return (entry / DIGEST).read_text() == _digest(entry)
    except (OSError, ValueError):
        return False


def _remove_old(folder: Path) -> None:
    for entry in folder.iterdir():
        with suppress(OSError):
            if entry.is_dir() and entry.stat().st_mtime < time.time() - KEEP_SECONDS:
                shutil.rmtree(entry)
