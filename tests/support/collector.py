"""A collector of spans: takes what OTLP over HTTP brings."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

SECONDS = 30


class Collector:
    """What has come so far."""

    def __init__(self) -> None:
        self.url = ""
        self.resources: list[dict[str, Any]] = []
        self._spans: list[Any] = []
        self._fresh = threading.Condition()

    def take(self, request: ExportTraceServiceRequest) -> None:
        with self._fresh:
            for resource in request.resource_spans:
                self.resources.append({each.key: each.value.string_value for each in resource.resource.attributes})
                self._spans += [span for scope in resource.scope_spans for span in scope.spans]
            self._fresh.notify_all()

    def spans(self, trace: str, count: int, seconds: float = SECONDS) -> list[Any]:
        """The spans of a trace, in the order of their starts, once there are `count`."""

        def mine() -> list[Any]:
            return [span for span in self._spans if span.trace_id.hex() == trace]

        with self._fresh:
            assert self._fresh.wait_for(lambda: len(mine()) >= count, seconds), f"{len(mine())} spans of {trace}"
            return sorted(mine(), key=lambda span: span.start_time_unix_nano)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            collector.take(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()
