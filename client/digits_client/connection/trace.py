"""The trace context of a call (W3C Trace Context), where the application uses OpenTelemetry."""

import sys

from digits_client.connection.channel import Metadata

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"


def trace_metadata(metadata: Metadata) -> Metadata:
    """`metadata` with the context of the current span; as it is without one, and where it has a `traceparent`.

    OpenTelemetry is not imported: where the application has not, no span can be current.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or any(key == TRACEPARENT for key, _ in metadata):
        return metadata
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return metadata
    parent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    state = span.trace_state.to_header()
    return (*metadata, (TRACEPARENT, parent), *([(TRACESTATE, state)] if state else []))
