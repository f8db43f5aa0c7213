"""The journal of a job: a folder beside the output that holds every finished chunk, whole or not at all.

A part is written under another name, brought onto the disk and renamed; so is the output, and the parts are
removed only once it is in its place. Whatever moment the process is killed at, a part either counts or is not
there, and so does the output.

The output is made while parts still come, in a thread of its own; a run that is resumed makes it from the start.
"""

import fcntl
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scoring.chunk import Chunk
from scoring.writers.columns import Columns
from scoring.writers.write import Format, write_table

_PART = re.compile(r"(\d{9,})\.arrow")
_FOLDER = ".parts"
_TEMPORARY = ".tmp"
_JOB = "job.json"
_MADE = "made.json"


def count_chunks(output: Path) -> int:
    """How many finished chunks lie beside an output that is not finished."""
    folder = output.with_name(f"{output.name}{_FOLDER}")
    return sum(1 for file in folder.iterdir() if _PART.fullmatch(file.name)) if folder.is_dir() else 0


class JournalError(Exception):
    """The job cannot begin, go on or end; the message is a sentence that says why and what to do."""


class Journal:
    """OUTPUT.parts/: job.json and one Arrow file for each finished chunk. Used with `with`; it holds a lock."""

    def __init__(self, output: Path, columns: Columns) -> None:
        """See `open`."""
        self.output = output
        self.folder = output.with_name(f"{output.name}{_FOLDER}")
        self.columns = columns
        self.done: set[int] = set()
        """Indices of the finished chunks."""
        self.worthless = False
        """Whether what is finished is of no use to a later run, and goes at the end."""
        self.complete: Mapping[str, Any] | None = None
        """What `finish` was told, where the output stands already: its run was killed while it cleared up."""
        self._lock: int | None = None
        self._news = threading.Condition()
        self._count: int | None = None
        self._abandoned = False
        self._made: Future[None] | None = None

    @classmethod
    def open(cls, output: Path, job: Mapping[str, Any], columns: Columns, *, resume: bool) -> Self:
        """Begin, or with `resume` go on where an earlier run of the same job was interrupted.

        `job` is all that decides the bytes of the output, for JSON: fingerprints of the inputs, model, options
        (nested mappings; the sentence on a difference names its key). Raises `JournalError` when the output
        exists, another run is at it, parts lie there and `resume` was not said, they are another job's, or the
        folder cannot be written to.
        """
        parts = cls(output, columns)
        try:
            with parts._writing(parts.folder):
                parts._begin(json.loads(json.dumps(job)), resume)
        except BaseException:
            parts.__exit__()
            raise
        return parts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the lock; parts stay where they are."""
        with self._news:
            self._abandoned = True
            self._news.notify_all()
        if self._made is not None:
            self._made.exception()  # waits for its end
        if self.worthless:
            self.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self, job: dict[str, Any], resume: bool) -> None:
        if self.output.exists() and not self.folder.is_dir():
            if resume:
                raise JournalError(
                    f"{self.output} exists already and no parts are left: it is finished, there is nothing to resume"
                )
            raise JournalError(f"{self.output} exists already; remove it or choose another name")
        if not self.output.parent.is_dir():
            raise JournalError(f"{self.output} cannot be written: there is no folder {self.output.parent}")
        self.folder.mkdir(exist_ok=True)
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"another run is writing {self.output} at this moment") from None
        for name in os.listdir(self.folder):
            if found := _PART.fullmatch(name):
                self.done.add(int(found[1]))
            elif name.endswith(_TEMPORARY):
                (self.folder / name).unlink()
        file = self.folder / _JOB
        if self.output.exists():
            self.complete = self._read_made()
            if self.complete is None:
                if not any(self.folder.iterdir()):
                    self.folder.rmdir()
                raise JournalError(f"{self.output} exists already; remove it or move it away")
        elif not self.done:
            self._store(file, json.dumps(job, indent=1, sort_keys=True).encode())
            return
        if not resume:
            raise JournalError(
                f"{self.folder} holds {len(self.done)} finished chunks of an earlier run; "
                "go on from there with --resume, or remove the folder to begin anew"
            )
        if file.exists() or self.complete is None:
            self._compare(file, job)

    def _compare(self, file: Path, job: dict[str, Any]) -> None:
        """Raises `JournalError` naming what is not as it was when the job began."""
        try:
            began = json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise JournalError(f"{file} cannot be read ({error}); remove {self.folder} to begin anew") from None
        difference = _difference("", began, job)
        if difference is not None:
            raise JournalError(
                f"the job is not the one that began: {difference}; "
                f"run it as it was, or remove {self.folder} to begin anew"
            )

    def write(self, chunk: Chunk, digits: NDArray[np.integer], scores: NDArray[np.float32]) -> pa.RecordBatch:
        """Keep a scored chunk: digits [n], scores [n, classes]; rows with an error are blanked. Returns what is kept.

        From any thread, in any order. Raises `JournalError` when it cannot be written.
        """
        batch = self.columns.batch(chunk, digits, scores)
        path = self._path(chunk.index)
        with self._writing(path):
            temporary = path.with_name(path.name + _TEMPORARY)
            with pa.OSFile(os.fsencode(temporary), "wb") as file, pa.ipc.new_file(file, self.columns.part) as writer:
                writer.write_batch(batch)
            _sync(temporary)
            temporary.rename(path)
        with self._news:
            self.done.add(chunk.index)
            self._news.notify_all()
        if self._made is not None and self._made.done():
            self._made.result()  # it has failed, and so does the job
        return batch

    def read(self, index: int) -> pa.RecordBatch:
        """A finished chunk, with the columns of `Columns.part`. Raises `JournalError`."""
        path = self._path(index)
        try:
            with pa.memory_map(os.fsencode(path)) as file, pa.ipc.open_file(file) as reader:
                batch = reader.get_batch(0)
        except FileNotFoundError:
            raise JournalError(f"{path} is missing; go on with --resume to score its rows again") from None
        except (pa.ArrowException, OSError) as error:
            raise JournalError(f"{path} is damaged ({error}); remove it and go on with --resume") from None
        if batch.schema != self.columns.part:
            raise JournalError(f"{path} has other columns than this job; remove {self.folder} to begin anew")
        return batch

    def make_output(self, format_: Format, metadata: Mapping[str, str]) -> None:
        """Begin to make the output of the parts that there are and of those to come, in their order."""
        made: Future[None] = Future()

        def make() -> None:
            try:
                with self._writing(self.output):
                    write_table(self._batches(), self._unfinished, format_, self.columns.table, metadata)
                made.set_result(None)
            except BaseException as error:
                made.set_exception(error)

        self._made = made
        threading.Thread(target=make, name="output", daemon=True).start()

    def finish(self, count: int, told: Mapping[str, Any]) -> None:
        """Put the output of the parts 0..count-1 in its place at once, and remove the parts.

        `told`, for JSON, is what `complete` gives to a run that comes after one that was killed in the midst of this.
        Raises `JournalError` when a part is missing, the output came to exist meanwhile or cannot be written.
        """
        assert self._made is not None
        with self._news:
            self._count = count
            self._news.notify_all()
        self._made.result()
        with self._writing(self.output):
            # By this a run that comes after a kill knows the output for its own.
            made = {"identity": _identity(self._unfinished), "told": told}
            self._store(self.folder / _MADE, json.dumps(made).encode())
            if self.output.exists():
                raise JournalError(f"{self.output} came to exist since the job began; move it away, then --resume")
            self._unfinished.rename(self.output)
            _sync(self.output.parent)
        self.clear()

    def clear(self) -> None:
        """Remove the parts of an output that is in its place."""
        with self._writing(self.folder):
            # In this order, so that a run after a kill knows what it has before it.
            last = [self.folder / _JOB, self.folder / _MADE]
            for file in [file for file in self.folder.iterdir() if file not in last] + last:
                file.unlink(missing_ok=True)
            self.folder.rmdir()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """All parts in their order, each once it is there."""
        index = 0
        while True:
            with self._news:
                while not self._abandoned and index not in self.done and self._count is None:
                    self._news.wait()
                if self._abandoned:
                    raise JournalError(f"{self.output} was abandoned")
                if index == self._count:
                    return
            yield self.read(index)
            index += 1

    @property
    def _unfinished(self) -> Path:
        return self.folder / f"output{_TEMPORARY}"

    def _read_made(self) -> Mapping[str, Any] | None:
        """What `finish` was told, if the output is the one that it made."""
        try:
            made = json.loads((self.folder / _MADE).read_bytes())
            if made["identity"] != _identity(self.output):
                return None
        except (OSError, ValueError, LookupError):
            return None
        told: Mapping[str, Any] = made["told"]
        return told

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:09d}.arrow"

    def _store(self, path: Path, content: Any) -> None:
        """Write a file whole or not at all."""
        temporary = path.with_name(path.name + _TEMPORARY)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = f"; {len(self.done)} finished chunks are kept, go on with --resume" if self.done else ""
            reason = os.strerror(error.errno) if error.errno else error  # Arrow puts words of its own before it
            raise JournalError(f"{path} cannot be written: {reason}{kept}") from None


def _identity(file: Path) -> list[int]:
    stat = file.stat()
    return [stat.st_ino, stat.st_size]


def _sync(path: Path) -> None:
    """Have a file or a folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _difference(name: str, began: Any, now: Any) -> str | None:
    """The first difference between two values as JSON has them, as a sentence."""
    if isinstance(began, dict) and isinstance(now, dict):
        items: Any = [(f"{name}.{key}".lstrip("."), began.get(key), now.get(key)) for key in sorted({*began, *now})]
    elif isinstance(began, list) and isinstance(now, list) and len(began) == len(now):
        items = [(f"{name}[{place}]", *pair) for place, pair in enumerate(zip(began, now, strict=True))]
    else:
        return None if began == now else f"{name} was {json.dumps(began)} and is {json.dumps(now)}"
    return next(filter(None, (_difference(*item) for item in items)), None)
