"""Logs by structlog: one line a lifecycle step at info, one line a call at debug, on standard error.

Whoever reads the logs may be slow, stop reading, or not be there: lines are handed to a thread that writes
them, so that no call ever waits for them. What does not fit into its queue is counted and left out.
"""

import logging
import queue
import sys
import threading
from typing import Any

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# Lines that may wait to be written, and how long the end of the process waits for them, in seconds.
QUEUED_LINES = 10_000
LAST_LINES_SECONDS = 1.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class _Writer:
    """Writes lines to standard error in a thread of its own; a stream that is broken or missing is no error."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUED_LINES)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="logs", daemon=True)
        self._thread.start()

    def msg(self, line: str) -> None:
        """Take one line; what structlog calls, whatever the level."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._left_out += 1

    debug = info = warning = error = critical = exception = msg

    def close(self) -> None:
        """Write what is left, as long as that does not take more than `LAST_LINES_SECONDS`."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(LAST_LINES_SECONDS)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._left_out:
                line, self._left_out = f"{line}\n({self._left_out} lines left out: nobody read them)", 0
            try:
                if sys.stderr is not None:
                    sys.stderr.write(line + "\n")
                    sys.stderr.flush()
            except (OSError, ValueError):
                pass  # nobody is there to be told


_writer: _Writer | None = None


def configure_logs(level: str, form: str, worker: int | None = None) -> None:
    """Send the logs of `level` and above to standard error.

    `form` is `json`, `console` or `auto`, which is `console` on a terminal and `json` elsewhere. Where several
    processes share it, each line tells the number of its `worker`.
    """
    global _writer  # a process has one standard error
    terminal = sys.stderr is not None and sys.stderr.isatty()
    console = form == "console" or (form == "auto" and terminal)
    processors: list[Any] = [
        *([] if worker is None else [lambda _, __, event: event | {"worker": worker}]),
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    if console:
        processors.append(structlog.dev.ConsoleRenderer(colors=terminal))
    else:
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    writer = _writer = _writer or _Writer()
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=True,
    )


class _Forward(logging.Handler):
    """What a library logs, among our lines: its errors as such, all else for those who debug."""

    def emit(self, record: logging.LogRecord) -> None:
        write = log.error if record.levelno >= logging.ERROR else log.debug
        write(record.getMessage().strip(), logger=record.name, exc_info=record.exc_info)


def forward_logs(name: str) -> None:
    """Let the standard library's logger `name` write to our log alone."""
    logger = logging.getLogger(name)
    logger.handlers, logger.propagate = [_Forward()], False
    logger.setLevel(logging.DEBUG if debugging() else logging.ERROR)


def close_logs() -> None:
    """Write what is left; the last thing a process does."""
    if _writer is not None:
        _writer.close()


def debugging() -> bool:
    """Whether debug lines are written; asked once, so that a call pays nothing for a line nobody wants."""
    return log.is_enabled_for(logging.DEBUG)
