"""The page: the files under service/web, read once, with their security headers.

They are the same for all users and need no token; the calls of the page do, like any other call.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Self

# Nothing inline, nothing from other origins: an injected script could neither run nor send data away.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)

# By file extension. Not from the system, since some map JavaScript to a type that browsers refuse.
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "gz": "application/gzip",
    "json": "application/json",
}

SHORT_PATHS = {"/index.html": "/", "/docs/docs.html": "/docs", "/docs/openapi.json": "/openapi.json"}

_HEADERS = {
    "cache-control": "no-cache",  # cached, but revalidated: a new server may have a new page
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class WebFile:
    """One file and its headers."""

    content_type: str
    body: bytes
    tag: str
    """Its ETag, quoted."""

    @classmethod
    def of(cls, name: str, body: bytes) -> Self:
        """The file of that name."""
        return cls(TYPES[name.rpartition(".")[2]], body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    def answer(self, if_none_match: str) -> tuple[int, str, bytes, dict[str, str]]:
        """Status, content type, body and headers for a request with `if_none_match` (RFC 9110, 13.1.2)."""
        headers = {**_HEADERS, "etag": self.tag}
        has = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
        if has & {self.tag, "*"}:
            return 304, self.content_type, b"", headers
        return 200, self.content_type, self.body, headers


def web_files() -> dict[str, WebFile]:
    """The files by their path; some have a shorter one."""
    found = {path: WebFile.of(path, file.read_bytes()) for path, file in _files(files("service").joinpath("web"), "/")}
    for path, short in SHORT_PATHS.items():
        found[short] = found.pop(path)
    return found


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{path}{entry.name}/")
        elif entry.name.rpartition(".")[2] in TYPES:
            yield path + entry.name, entry
