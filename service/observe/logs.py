"""Logs by structlog: one line a lifecycle step at info, one line a call at debug, on standard error."""

import logging
import sys
from typing import Any

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def configure_logs(level: str, form: str) -> None:
    """Send the logs of `level` and above to standard error.

    `form` is `json`, `console` or `auto`, which is `console` on a terminal and `json` elsewhere.
    """
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    if console:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    else:
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def debugging() -> bool:
    """Whether debug lines are written; asked once, so that a call pays nothing for a line nobody wants."""
    return log.is_enabled_for(logging.DEBUG)
