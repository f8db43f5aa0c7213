"""Logs by structlog: one line a lifecycle step at info, one line a call at debug, on standard error.

The reader of the logs may be slow, blocked or gone, so a thread writes the lines and no call waits for it. Lines that
do not fit into its queue are dropped and counted.
"""

import logging
import queue
import sys
import threading
from typing import Any

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# Lines that may wait to be written, and seconds that the end of the process waits for them.
QUEUED_LINES = 10_000
LAST_LINES_SECONDS = 1.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class _Writer:
    """Writes lines to standard error in a thread; a broken or missing stream is no error."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUED_LINES)
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="logs", daemon=True)
        self._thread.start()

    def msg(self, line: str) -> None:
        """Queue one line; structlog calls it under the name of the level."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._left_out += 1

    debug = info = warning = error = critical = exception = msg

    def close(self) -> None:
        """Write the remaining lines, for `LAST_LINES_SECONDS` at most."""
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
                pass  # there is no reader


_writer: _Writer | None = None


def configure_logs(level: str, form: str, worker: int | None = None) -> None:
    """Send the logs of `level` and above to standard error.

    `form` is `json`, `console` or `auto`, which is `console` on a terminal and `json` elsewhere. Where several
    processes write to it, each line has the number of its `worker`.
    """
    global _writer  # one for standard error, of which a process has one
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
    """Passes the records of a library to our log: errors as errors, the rest as debug lines."""

    def emit(self, record: logging.LogRecord) -> None:
        write = log.error if record.levelno >= logging.ERROR else log.debug
        write(record.getMessage().strip(), logger=record.name, exc_info=record.exc_info)


def forward_logs(name: str) -> None:
    """Send the records of the logger `name` of the standard library to our log only."""
    logger = logging.getLogger(name)
    logger.handlers, logger.propagate = [_Forward()], False
    logger.setLevel(logging.DEBUG if debugging() else logging.ERROR)


def close_logs() -> None:
    """Write the remaining lines, at the end of the process."""
    if _writer is not None:
        _writer.close()


def debugging() -> bool:
    """Whether debug lines are written; callers ask once, so that calls pay nothing when they are not."""
    return log.is_enabled_for(logging.DEBUG)
