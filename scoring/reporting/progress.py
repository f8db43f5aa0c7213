"""Progress of a job: a bar in a terminal, else a line every few seconds."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LINE_SECONDS = 10.0
"""Seconds between two lines without a terminal."""


class OnRows(Protocol):
    """Callback with the numbers of scored rows and of errors; may be called from any thread."""

    def __call__(self, rows: int, errors: int = 0) -> None:
        """`rows` more rows, `errors` of them without scores."""


def silent(rows: int, errors: int = 0) -> None:
    """Ignore the progress."""


@contextmanager
def progress(total: int | None, done: int) -> Iterator[OnRows]:
    """A callback for scored rows; `done` rows of `total` (None: unknown) were scored before. Writes to stderr."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(total, done, console) as on_rows:
            yield on_rows
    else:
        yield _Lines(total, done)


@contextmanager
def _bar(total: int | None, done: int, console: "object") -> Iterator[OnRows]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("scoring"),
        BarColumn(),
        TextColumn("{task.completed:,} rows · {task.fields[rate]} · {task.fields[errors]:,} errors"),
        TimeRemainingColumn(),
    )
    lock = threading.Lock()
    counts = [0, 0]
    began = time.monotonic()
    with Progress(*columns, console=console, refresh_per_second=5) as bar:  # type: ignore[arg-type]
        task = bar.add_task("", total=total, completed=done, rate="–", errors=0)

        def on_rows(rows: int, errors: int = 0) -> None:
            with lock:
                counts[0] += rows
                counts[1] += errors
                rate = f"{counts[0] / max(time.monotonic() - began, 1e-9):,.0f}/s"
                bar.update(task, completed=done + counts[0], rate=rate, errors=counts[1])

        yield on_rows


class _Lines:
    def __init__(self, total: int | None, done: int) -> None:
        self._total, self._done = total, done
        self._rows = self._errors = 0
        self._began = self._last = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, rows: int, errors: int = 0) -> None:
        now = time.monotonic()
        with self._lock:
            self._rows += rows
            self._errors += errors
            if now - self._last < LINE_SECONDS:
                return
            self._last = now
            rate = self._rows / (now - self._began)
            at = self._done + self._rows
            of, left = "", ""
            if self._total is not None:
                of, left = f" of {self._total:,}", f", {(self._total - at) / rate:.0f} s left"
            sys.stderr.write(f"scored {at:,}{of} rows, {rate:,.0f}/s, {self._errors:,} errors{left}\n")
            sys.stderr.flush()
