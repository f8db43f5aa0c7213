"""The output, written in a thread while chunks are still being scored."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa

from scoring.journal.errors import JournalError
from scoring.writers.write import Format, write_table


class OutputThread:
    """Writes the finished chunks to a table, in order, each as soon as it and all before it are there."""

    def __init__(
        self,
        path: Path,
        read_chunk: Callable[[int], pa.RecordBatch],
        finished: Iterable[int],
        format_: Format,
        schema: pa.Schema,
        metadata: Mapping[str, str],
    ) -> None:
        """Start to write `path`; `finished` are the chunks of an earlier run."""
        self._read_chunk = read_chunk
        self._finished = set(finished)
        self._count: int | None = None
        self._aborted = False
        self._changed = threading.Condition()
        self._written: Future[None] = Future()

        def write() -> None:
            try:
                write_table(self._batches(), path, format_, schema, metadata)
                self._written.set_result(None)
            except BaseException as error:
                self._written.set_exception(error)

        threading.Thread(target=write, name="output", daemon=True).start()

    def add(self, index: int) -> None:
        """A chunk is finished. Raises the error of the thread, if it has failed."""
        with self._changed:
            self._finished.add(index)
            self._changed.notify_all()
        if self._written.done():
            self._written.result()

    def finish(self, count: int) -> None:
        """Wait until all `count` chunks are written. Raises what `write_table` and `read_chunk` raise."""
        with self._changed:
            self._count = count
            self._changed.notify_all()
        self._written.result()

    def abort(self) -> None:
        """Stop, and wait until the thread has ended. Idempotent, and harmless after `finish`."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()
        self._written.exception()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        index = 0
        while True:
            with self._changed:
                while not self._aborted and index not in self._finished and self._count is None:
                    self._changed.wait()
                if self._aborted:
                    raise JournalError("the output was aborted")
                if index == self._count:
                    return
            yield self._read_chunk(index)
            index += 1
