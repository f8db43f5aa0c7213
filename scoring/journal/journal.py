"""A folder beside the output with one Arrow file for each finished chunk.

A chunk is written under a temporary name, flushed to the disk and renamed; so is the output, and the chunks are
removed only after that. Whenever the process is killed, a chunk is there completely or not at all, and so is the
output. A resumed run writes the output from the start.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from scoring.chunk import Chunk
from scoring.journal.errors import JournalError
from scoring.journal.files import TEMPORARY_SUFFIX, commit, file_identity, sync, temporary_path, write_file
from scoring.journal.output_thread import OutputThread
from scoring.writers.columns import Columns
from scoring.writers.picture_columns import PictureColumns
from scoring.writers.write import Format

_CHUNK_NAME = re.compile(r"(\d{9,})\.arrow")


def journal_folder(output: Path) -> Path:
    """The journal folder of an output."""
    return output.with_name(f"{output.name}.parts")


def find_chunks(folder: Path) -> set[int]:
    """Indices of the finished chunks in a journal; empty without the folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    return {int(match[1]) for name in names if (match := _CHUNK_NAME.fullmatch(name))}


class Journal:
    """The journal of one job; a context manager that holds a lock on the folder."""

    def __init__(self, output: Path, columns: Columns | PictureColumns) -> None:
        """See `open`."""
        self.output, self.columns = output, columns
        self.folder = journal_folder(output)
        self.done: set[int] = set()
        """Indices of the finished chunks."""
        self.discard = False
        """Whether to remove the finished chunks at the end, because no later run can use them."""
        self.finished_tally: Mapping[str, Any] | None = None
        """The tally given to `finish`, if an earlier run was killed between writing the output and removing chunks."""
        self._job_file, self._finish_file = self.folder / "job.json", self.folder / "made.json"
        self._output_in_progress = temporary_path(self.folder / "output")
        self._lock: int | None = None
        self._output_thread: OutputThread | None = None

    @classmethod
    def open(cls, output: Path, job: Mapping[str, Any], columns: Columns | PictureColumns, *, resume: bool) -> Self:
        """Start a journal, or with `resume` continue that of an interrupted run of the same job.

        `job` determines the bytes of the output: nested mappings and lists, for JSON. Raises `JournalError` if the
        output exists, another run holds the lock, there are finished chunks and not `resume`, they are of another
        job, or the folder cannot be written.
        """
        journal = cls(output, columns)
        try:
            with journal._writing(journal.folder):
                journal._lock_folder(resume)
                journal._start(json.loads(json.dumps(job)), resume)
        except BaseException:
            journal.__exit__()
            raise
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Release the lock; finished chunks stay unless `discard` is set."""
        if self._output_thread is not None:
            self._output_thread.abort()
        if self.discard:
            self.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _lock_folder(self, resume: bool) -> None:
        """Create the folder and lock it."""
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

    def _start(self, job: dict[str, Any], resume: bool) -> None:
        """Read what an earlier run left, and store what job this is."""
        self.done = find_chunks(self.folder)
        for file in self.folder.glob(f"*{TEMPORARY_SUFFIX}"):
            file.unlink()
        if self.output.exists():
            self.finished_tally = self._read_finished_tally()
            if self.finished_tally is None:
                if not any(self.folder.iterdir()):
                    self.folder.rmdir()
                raise JournalError(f"{self.output} exists already; remove it or move it away")
        elif not self.done:
            write_file(self._job_file, json.dumps(job, indent=1, sort_keys=True).encode())
            return
        if not resume:
            raise JournalError(
                f"{self.folder} holds {len(self.done)} finished chunks of an earlier run; "
                "go on from there with --resume, or remove the folder to begin anew"
            )
        if self._job_file.exists() or self.finished_tally is None:
            self._check_same_job(job)

    def _check_same_job(self, job: dict[str, Any]) -> None:
        """Raise `JournalError` that names the first difference to the job of the earlier run."""
        try:
            earlier = json.loads(self._job_file.read_bytes())
        except (OSError, ValueError) as error:
            raise JournalError(
                f"{self._job_file} cannot be read ({error}); remove {self.folder} to begin anew"
            ) from None
        difference = _find_difference("", earlier, job)
        if difference is not None:
            raise JournalError(
                f"the job is not the one that began: {difference}; "
                f"run it as it was, or remove {self.folder} to begin anew"
            )

    def write(self, chunk: Chunk, *results: Any) -> pa.RecordBatch:
        """Store a scored chunk with the results that `Columns.batch` takes; returns it as `read` does.

        May be called from any thread, in any order. Raises `JournalError` if it cannot be written.
        """
        batch = self.columns.batch(chunk, *results)
        path = self._chunk_path(chunk.index)
        with self._writing(path):
            # Arrow reads text as UTF-8, and the name of a folder may be other bytes.
            with (
                pa.OSFile(os.fsencode(temporary_path(path)), "wb") as file,
                pa.ipc.new_file(file, self.columns.part) as writer,
            ):
                writer.write_batch(batch)
            commit(path)
        self.done.add(chunk.index)
        if self._output_thread is not None:
            with self._writing(self.output):
                self._output_thread.add(chunk.index)
        return batch

    def read(self, index: int) -> pa.RecordBatch:
        """A finished chunk, with the columns of `Columns.part`. Raises `JournalError`."""
        path = self._chunk_path(index)
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

    def start_output(self, format_: Format, metadata: Mapping[str, str]) -> None:
        """Start to write the output from the finished chunks and those to come."""
        self._output_thread = OutputThread(
            self._output_in_progress, self.read, self.done, format_, self.columns.table, metadata
        )

    def finish(self, count: int, tally: Mapping[str, Any]) -> None:
        """Complete the output from chunks 0..count-1, rename it into place, and remove the journal.

        `tally`, for JSON, is stored as `finished_tally` for a run after this one is killed. Raises `JournalError`
        if a chunk is missing, the output has come to exist, or it cannot be written.
        """
        assert self._output_thread is not None
        with self._writing(self.output):
            self._output_thread.finish(count)
            # By its identity a later run recognises the output as the one of this job.
            made = {"identity": file_identity(self._output_in_progress), "told": tally}
            write_file(self._finish_file, json.dumps(made).encode())
            if self.output.exists():
                raise JournalError(f"{self.output} came to exist since the job began; move it away, then --resume")
            self._output_in_progress.rename(self.output)
            sync(self.output.parent)
        self.clear()

    def clear(self) -> None:
        """Remove the journal of a finished output."""
        with self._writing(self.folder):
            # The files that identify the job go last, for a run after one that is killed here.
            last = [self._job_file, self._finish_file]
            for file in [file for file in self.folder.iterdir() if file not in last] + last:
                file.unlink(missing_ok=True)
            self.folder.rmdir()

    def _read_finished_tally(self) -> Mapping[str, Any] | None:
        """The tally given to `finish`, if the output is the file that it renamed."""
        try:
            made = json.loads(self._finish_file.read_bytes())
            tally: Mapping[str, Any] = made["told"]
            return tally if made["identity"] == file_identity(self.output) else None
        except (OSError, ValueError, LookupError):
            return None

    def _chunk_path(self, index: int) -> Path:
        return self.folder / f"{index:09d}.arrow"

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Turn an `OSError` into a `JournalError` about `path`."""
        try:
            yield
        except OSError as error:
            kept = f"; {len(self.done)} finished chunks are kept, go on with --resume" if self.done else ""
            reason = os.strerror(error.errno) if error.errno else error  # Arrow puts words of its own before it
            raise JournalError(f"{path} cannot be written: {reason}{kept}") from None


def _find_difference(name: str, earlier: Any, now: Any) -> str | None:
    """The first difference between two JSON values, as a message."""
    if isinstance(earlier, dict) and isinstance(now, dict):
        keys = sorted({*earlier, *now})
        items: Any = [(f"{name}.{key}".lstrip("."), earlier.get(key), now.get(key)) for key in keys]
    elif isinstance(earlier, list) and isinstance(now, list) and len(earlier) == len(now):
        items = [(f"{name}[{index}]", *pair) for index, pair in enumerate(zip(earlier, now, strict=True))]
    else:
        return None if earlier == now else f"{name} was {json.dumps(earlier)} and is {json.dumps(now)}"
    return next(filter(None, (_find_difference(*item) for item in items)), None)
