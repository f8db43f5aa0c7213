"""The lines and spans of calls that are recorded."""

import time

from service.telemetry.calls import CallRecord, ObservedContext
from service.telemetry.logs import debugging, log
from service.telemetry.tracing import Tracing


class Observer:
    """Writes a line for each call that it records, and a span."""

    def __init__(self, *, access_log: bool = False, tracing: Tracing | None = None) -> None:
        """With `access_log` lines are of the level info, otherwise of the level debug."""
        self._access_log = access_log
        self._tracing = tracing
        self.records_all = access_log or tracing is not None or debugging()
        """Whether all calls are to be recorded, not only those that change something."""

    def begin(self, path: str, context: ObservedContext, *, audited: bool = False) -> None:
        """Record a call from here on; of one that is `audited` the line is at info in any case."""
        context.record = record = CallRecord(self, path, context, audited=audited)
        if self._tracing is not None:
            record.span, context.known_ids = self._tracing.start(path, context.ids(), record.began)

    def ended(self, record: CallRecord, code: str, sizes: dict[str, int | None]) -> None:
        """Write the line and the span of a call."""
        context = record.context
        write = log.info if self._access_log or record.audited else log.debug
        write("call", **_fields(record, code, context, sizes))
        if self._tracing is not None:
            self._tracing.end(record, code)

    def close(self) -> None:
        """Send the remaining spans; may take seconds."""
        if self._tracing is not None:
            self._tracing.close()


def _fields(
    record: CallRecord, code: str, context: ObservedContext, sizes: dict[str, int | None]
) -> dict[str, str | int | float | None]:
    runs = record.runs
    found = {
        "method": record.path,
        "code": code,
        "identity": context.identity or record.refused,
        "peer": context.peer,
        "model": record.model,
        "version": record.version,
        "change": record.change,
        "rows": record.rows,
        **sizes,
        "ms": round((time.perf_counter_ns() - record.clock) / 1e6, 3),
        "queue_us": sum(run.queue_us for run in runs) if runs else None,
        "inference_us": sum(run.inference_us for run in runs) if runs else None,
        "batch_rows": sum(run.batch_rows for run in runs) if runs else None,
        **context.ids().fields(),
    }
    return {name: value for name, value in found.items() if value not in (None, "") and (name, value) != ("rows", 0)}
