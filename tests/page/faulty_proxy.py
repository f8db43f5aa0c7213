"""A machine between the browser and the server: it breaks answers off, or keeps a path to itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.server import Server

HOP = {"connection", "transfer-encoding", "content-length", "host"}


class Between(ThreadingHTTPServer):
    """Paths that end with `cut` are answered by the first half of the answer, `absent` by a 404 in plain text."""

    daemon_threads = True

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.server = server
        self.http_port = self.server_port
        self.cut = self.absent = ""
        self.cuts = 0
        """Answers that were broken off."""


class _Exchange(BaseHTTPRequestHandler):
    server: Between

    def _forward(self) -> None:
        if self.path == self.server.absent:
            return self._answer(404, {"content-type": "text/plain"}, b"metrics are each container's own\n")
        size = int(self.headers.get("content-length", 0))
        headers = {key.lower(): value for key, value in self.headers.items() if key.lower() not in HOP}
        body = self.rfile.read(size) if size else None
        status, answered, data = self.server.server.http(self.path, body, self.command, **headers)
        return self._answer(status, answered, data)

    do_GET = do_POST = _forward  # noqa: N815  # as http.server names them

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for key, value in headers.items():
            if key not in HOP:
                self.send_header(key, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.server.cut and self.path.endswith(self.server.cut):
            self.server.cuts += 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@contextmanager
def between(server: Server) -> Iterator[Between]:
    """One that listens on a free port."""
    with Between(server) as machine:
        thread = threading.Thread(target=machine.serve_forever)
        thread.start()
        try:
            yield machine
        finally:
            machine.shutdown()
            thread.join()
