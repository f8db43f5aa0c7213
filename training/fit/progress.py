"""Progress of a fit with the remaining time: a bar in a terminal, else a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from training.fit.fit import OnEpoch

Say = Callable[[str], None]
"""Called with a line of text about each step between the fits."""

LINE_SECONDS = 10.0
"""Seconds between two lines without a terminal."""


@contextmanager
def progress(title: str, epochs: int) -> Iterator[OnEpoch]:
    """A callback for after each epoch; writes to stderr."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(title, epochs, console) as on_epoch:
            yield on_epoch
    else:
        yield _Lines(title, epochs)


@contextmanager
def _bar(title: str, epochs: int, console: "object") -> Iterator[OnEpoch]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs · loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:  # type: ignore[arg-type]
        task = bar.add_task(title, total=epochs, loss="–")
        yield lambda epoch, loss: bar.update(task, completed=epoch, loss=f"{loss:.4f}")


class _Lines:
    def __init__(self, title: str, epochs: int) -> None:
        self._title, self._epochs = title, epochs
        self._first: tuple[int, float] | None = None
        self._last = 0.0

    def __call__(self, epoch: int, loss: float) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = (epoch, now)
        first_epoch, began = self._first
        if now - self._last < LINE_SECONDS and epoch < self._epochs:
            return
        self._last = now
        left = ""
        if epoch > first_epoch:
            left = f", {(now - began) / (epoch - first_epoch) * (self._epochs - epoch):.0f} s left"
        log(f"{self._title}: epoch {epoch} of {self._epochs}, loss {loss:.4f}{left}")


def log(line: str) -> None:
    """Write `line` to stderr. Where that cannot be written, as on a full disk, the training goes on all the same."""
    with suppress(OSError, AttributeError):  # a closed one is None
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
