"""The files of the page over HTTP; what a browser makes of them is tested in tests/page/."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb

from tests.support.processes import ROOT
from tests.support.server import Server, StartServer, Stub

WEB = ROOT / "service" / "web"
FILES = sorted(path for path in WEB.rglob("*") if path.is_file())
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".gz": "application/gzip",
    ".json": "application/json",
}


def path_of(file: Path) -> str:
    path = f"/{file.relative_to(WEB).as_posix()}"
    return {"/index.html": "/", "/docs/docs.html": "/docs", "/docs/openapi.json": "/openapi.json"}.get(path, path)


@pytest.mark.parametrize("file", FILES, ids=path_of)
def test_each_file_comes_as_it_is(server: Server, file: Path):
    """With its type, under a policy that lets nothing in from elsewhere, and not a second time to who has it."""
    status, headers, body = server.http(path_of(file))
    assert (status, body) == (200, file.read_bytes())
    assert headers["content-type"] == TYPES[file.suffix]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"
    assert "content-encoding" not in headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"unsafe|https?:|\*|data:", policy)
    for sent in (headers["etag"], f'"other", W/{headers["etag"]}', "*"):
        status, again, body = server.http(path_of(file), if_none_match=sent)
        assert (status, body, again["etag"]) == (304, b"", headers["etag"])
    assert server.http(path_of(file), if_none_match='"other"')[0] == 200


def test_the_page_is_for_reading(server: Server):
    """HEAD gives the headers alone, POST is refused, and so is what is not among the files."""
    status, headers, body = server.http("/", method="HEAD")
    assert (status, body, int(headers["content-length"])) == (200, b"", (WEB / "index.html").stat().st_size)
    status, headers, _ = server.http("/", b"{}")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    for path in ("/index.html", "/../config.py", "/web/app.js", "/app.js/", "//app.js"):
        assert server.http(path)[0] in (400, 404)


def test_the_page_holds_nothing_inline_and_nothing_of_others():
    """Its files ask for files beside them only, and each of them is asked for."""
    html = (WEB / "index.html").read_text() + (WEB / "docs" / "docs.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", html)
    links = set(re.findall(r'(?:src|href)="([^"]+)"', html)) - {"/", "openapi.json"}
    asked = {WEB / name for name in links}
    for file in WEB.rglob("*.js"):
        names = re.findall(r'"([\w./-]+\.(?:js|css|gz))"', file.read_text())
        asked |= {((file.parent if name.startswith(".") else WEB) / name).resolve() for name in names}
    pages = {WEB / "index.html", WEB / "docs" / "docs.html", WEB / "docs" / "openapi.json"}
    assert asked - {WEB / "docs" / "docs.html"} | pages == set(FILES)
    for file in WEB.rglob("*.css"):
        assert not re.search(r"url\(|@import", file.read_text())


def test_the_page_needs_no_token(start_server: StartServer, tmp_path: Path):
    """Unlike what it asks for."""
    (tmp_path / "tokens").write_text("anna: anna-anna-anna-anna\n")
    server = start_server(f"--token-file={tmp_path / 'tokens'}", "--allow-plaintext-tokens", "--client-rate=1")
    for file in FILES:
        assert server.http(path_of(file))[0] == 200
    assert server.http("/metrics")[0] == 401


def test_the_server_says_where_the_page_is(server: Server):
    """In the line that says that it serves."""
    assert server.wait_for("serving")["page"] == f"http://127.0.0.1:{server.http_port}/"


@pytest.mark.parametrize(
    "version", ["mnist-16x16 1", "mnist-16x16 2", "mnist-16x16 4", "mnist-large 1", "digits-8x8 1"]
)
def test_the_page_has_all_digits_that_a_committed_model_gets_wrong(server: Server, stub: Stub, version: str):
    """Each off the diagonal of its card, by the answers of the server."""
    name, number_ = version.split()
    card = stub.get_model(pb.GetModelRequest(model=name, version=number_), timeout=10).card
    status, headers, packed = server.http(f"/examples/{card.dataset}.gz")
    assert (status, headers["content-type"]) == (200, "application/gzip")
    rows = np.frombuffer(gzip.decompress(packed), np.uint8).reshape(-1, 1 + card.rows * card.cols)
    request = pb.ClassifyRequest(model=name, version=number_, pixels=rows[:, 1:].tobytes())
    said = [each.digit for each in stub.classify(request, timeout=20).predictions]
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (rows[:, 0], said), 1)
    wanted = np.array(card.confusion).reshape(10, 10)
    np.fill_diagonal(wanted, 0)
    right = counts.diagonal().copy()
    np.fill_diagonal(counts, 0)
    assert np.array_equal(counts, wanted)
    assert (right >= 6).all()
