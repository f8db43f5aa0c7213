"""Spans by OpenTelemetry, sent by OTLP over HTTP: of each call, and in it of its time in queue and onnxruntime."""

import os
from typing import TYPE_CHECKING, Any, Self

from service.config import Settings
from service.telemetry.call_ids import TRACEPARENT, TRACESTATE, CallIds
from service.telemetry.calls import CallRecord
from service.telemetry.logs import forward_logs

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

# Seconds until an export that gets no answer has failed; the end of the process waits as long for the last one.
EXPORT_SECONDS = 5
# Statuses that are the server's fault, by OpenTelemetry's conventions for RPCs.
_FAULTS = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")


class TracingError(Exception):
    """Spans cannot be sent; the message says why."""


class Tracing:
    """Starts and ends the spans of calls. Belongs to one process, and has a thread of its own that sends them."""

    def __init__(self, exporter: "SpanExporter", sample: float) -> None:
        """Of the traces that begin here, record the share `sample`; for others the client has decided."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "digits")})
        self._provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(sample)))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("digits")
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """As the settings say; None without an endpoint. Raises `TracingError` without the extra otel."""
        if not settings.otlp_endpoint:
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ModuleNotFoundError as error:
            raise TracingError(f"--otlp-endpoint needs the extra otel: there is no module {error.name}") from None
        forward_logs("opentelemetry")
        return cls(OTLPSpanExporter(settings.otlp_endpoint, timeout=EXPORT_SECONDS), settings.otlp_sample)

    def start(self, path: str, ids: CallIds, began: int) -> tuple[Any, CallIds]:
        """The span of a call that began at `began`, by `time.time_ns`, and its identifiers with that span."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, set_span_in_context

        parent = self._propagator.extract({TRACEPARENT: ids.traceparent, TRACESTATE: ids.tracestate}, Context())
        service, _, method = path.removeprefix("/").partition("/")
        span = self._tracer.start_span(
            f"{service}/{method}",
            parent,
            SpanKind.SERVER,
            {"rpc.service": service, "rpc.method": method, "digits.request_id": ids.request_id},
            start_time=began,
        )
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span, parent))
        return span, CallIds(ids.request_id, carrier[TRACEPARENT], carrier.get(TRACESTATE, ""))

    def end(self, record: CallRecord, code: str) -> None:
        """End the span of a call, with its children."""
        from opentelemetry.trace import StatusCode, set_span_in_context

        span = record.span
        if not span.is_recording():
            return
        within = set_span_in_context(span)
        for run in record.runs:
            began = run.ended - run.inference_us * 1000
            queue = self._tracer.start_span("queue", within, start_time=began - run.queue_us * 1000)
            queue.end(began)
            rows = {"digits.batch_rows": run.batch_rows}
            self._tracer.start_span("inference", within, attributes=rows, start_time=began).end(run.ended)
        span.set_attribute("rpc.response.status_code", code)
        if record.context.identity:
            span.set_attribute("user.name", record.context.identity)
        if record.model:
            span.set_attributes({"digits.model": f"{record.model}/{record.version}", "digits.rows": record.rows})
        if code in _FAULTS:
            span.set_status(StatusCode.ERROR)
        span.end()

    def close(self) -> None:
        """Send the remaining spans."""
        self._provider.shutdown()
