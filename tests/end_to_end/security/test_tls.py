"""TLS and mutual TLS, on both fronts and both ports: who gets in, and who does not."""

import http.client
import json
import os
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import grpc
import numpy as np
import pytest
import trustme
from digits_client import DigitsClient, Unavailable

from tests.support.authority import Authority
from tests.support.processes import environment, run_digits
from tests.support.server import Server, StartServer

IMAGE = np.zeros((28, 28), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory, start_for_module: StartServer) -> tuple[Server, Authority]:
    """A server for tests that change its pair; it started with one that had expired."""
    authority = Authority(tmp_path_factory.mktemp("changing"))
    authority.issue(days=-1)
    server = start_for_module(*authority.files)
    refused(server, **authority.client())
    return server, authority


def reissued(server: Server, authority: Authority, *names: str, days: int = 1) -> None:
    """Wait until the server has the new pair."""
    before = len(server.lines)
    authority.issue(*names, days=days)
    server.wait_for("certificates read again", 10, after=before)


@pytest.fixture(scope="module")
def server(authority: Authority, start_for_module: StartServer) -> Server:
    return start_for_module(*authority.files)


@pytest.fixture(scope="module")
def mutual(authority: Authority, start_for_module: StartServer) -> Server:
    return start_for_module(*authority.files, f"--tls-client-ca={authority.folder / 'ca.pem'}")


def classify(server: Server, host: str = "localhost", **credentials: bytes | None) -> int:
    channel = grpc.ssl_channel_credentials(**credentials)
    with DigitsClient(f"{host}:{server.port}", credentials=channel, timeout=10) as client:
        return client.classify(IMAGE).digit


def refused(server: Server, host: str = "localhost", **credentials: bytes | None) -> str:
    with pytest.raises(Unavailable) as caught:
        classify(server, host, **credentials)
    return str(caught.value)


def get(server: Server, path: str, context: ssl.SSLContext) -> int:
    try:
        with urllib.request.urlopen(f"https://localhost:{server.http_port}{path}", timeout=10, context=context) as page:
            return page.status
    except urllib.error.HTTPError as error:
        return error.code


def trusting(ca: trustme.CA, own: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if own is not None:
        own.issue_cert("someone@example.org").configure_cert(context)
    return context


def test_who_trusts_the_authority_is_answered(server: Server, authority: Authority):
    """By name and by address, by gRPC and by HTTP."""
    assert classify(server, **authority.client()) in range(10)
    assert classify(server, "127.0.0.1", **authority.client()) in range(10)
    context = trusting(authority.ca)
    assert get(server, "/readyz", context) == 200
    request = urllib.request.Request(
        f"https://localhost:{server.http_port}/digits.v1.DigitsService/ListModels",
        b"{}",
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10, context=context) as page:
        assert json.loads(page.read())["defaultModel"] == "mnist-16x16"


def test_an_unknown_authority_is_not_trusted(server: Server, authority: Authority):
    """The client sees that, and sends nothing."""
    other = trustme.CA()
    said = refused(server, "127.0.0.1", **authority.client(ca=other))
    assert "TLS failed, certificate verify failed: " in said
    with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
        get(server, "/readyz", trusting(other))


def test_a_certificate_for_another_host_is_not_trusted(changing: tuple[Server, Authority]):
    """Even of the right authority. A client with the matching `server_name` trusts it."""
    server, authority = changing
    reissued(server, authority, "elsewhere.example")
    refused(server, **authority.client())
    channel = grpc.ssl_channel_credentials(**authority.client())
    for name, trusted in (("elsewhere.example", True), ("another.example", False)):
        with (
            nullcontext() if trusted else pytest.raises(Unavailable),
            DigitsClient(f"localhost:{server.port}", credentials=channel, server_name=name) as client,
        ):
            assert client.health()
    with pytest.raises(urllib.error.URLError, match="Hostname mismatch"):
        get(server, "/readyz", trusting(authority.ca))


def test_a_certificate_that_has_expired_is_not_trusted(changing: tuple[Server, Authority]):
    """The server starts all the same: it may be renewed any moment, and then is used."""
    server, authority = changing
    reissued(server, authority, days=-1)
    refused(server, **authority.client())
    with pytest.raises(urllib.error.URLError, match="expired"):
        get(server, "/readyz", trusting(authority.ca))
    authority.issue()
    eventually(lambda: classify(server, **authority.client()))
    eventually(lambda: get(server, "/readyz", trusting(authority.ca)))


def test_plaintext_is_not_answered(server: Server):
    """Neither by gRPC nor by HTTP."""
    with DigitsClient(server.address, timeout=5) as client, pytest.raises(Unavailable):
        client.classify(IMAGE)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        server.http("/readyz")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_nothing_older_than_tls_1_2_is_spoken(server: Server, authority: Authority, version: ssl.TLSVersion):
    """On either port."""
    import socket

    for port in (server.port, server.http_port):
        context = trusting(authority.ca)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            if version is ssl.TLSVersion.TLSv1_2:
                context.wrap_socket(plain, server_hostname="localhost").close()
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    context.wrap_socket(plain, server_hostname="localhost")


def test_a_client_shows_a_certificate_where_one_is_asked_for(mutual: Server, authority: Authority):
    """Of the right authority it is let in, of another or without one it is not, on both ports."""
    assert classify(mutual, **authority.client(own=authority.ca)) in range(10)
    assert get(mutual, "/readyz", trusting(authority.ca, authority.ca)) == 200
    for own in (None, trustme.CA()):
        refused(mutual, **authority.client(own=own))
        with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
            get(mutual, "/readyz", trusting(authority.ca, own))
    assert classify(mutual, **authority.client(own=authority.ca)) in range(10)


def test_certificates_are_swapped_under_load(start_server: StartServer, tmp_path: Path):
    """New connections get the new one, calls of old ones go on: none fails."""
    authority = Authority(tmp_path)
    server = start_server(*authority.files, "--workers=2")
    old = authority.client()
    errors: list[Exception] = []
    stop = threading.Event()
    answered = [0] * 4

    def load(index: int) -> None:
        try:
            with DigitsClient(
                f"localhost:{server.port}", credentials=grpc.ssl_channel_credentials(**old), timeout=10
            ) as client:
                while not stop.is_set():
                    client.classify(IMAGE)
                    answered[index] += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=load, args=[index]) for index in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    authority.ca = trustme.CA()
    authority.issue()
    for _ in range(8):  # whichever worker a connection comes to
        eventually(lambda: classify(server, **authority.client()))
        eventually(lambda: get(server, "/readyz", trusting(authority.ca)))
    before = list(answered)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert all(now > then > 0 for now, then in zip(answered, before, strict=True))


def test_a_pipe_in_the_place_of_a_file_changes_nothing(changing: tuple[Server, Authority]):
    """Reading it would wait for ever, and everyone else with it."""
    server, authority = changing
    reissued(server, authority)
    before = len(server.lines)
    pipe = authority.folder / "pipe"
    os.mkfifo(pipe)
    pipe.replace(authority.folder / "cert.pem")
    try:
        time.sleep(1.5)
        for _ in range(2):
            assert classify(server, **authority.client()) in range(10)
            time.sleep(1.2)
        told = server.wait_for("certificates stay as they were", 10, after=before)
        assert "no regular file" in told["reason"]
    finally:
        (authority.folder / "cert.pem").unlink()


def test_files_that_do_not_fit_change_nothing(changing: tuple[Server, Authority]):
    """A key without its certificate, or no PEM at all: told in the log, and the old pair stays."""
    server, authority = changing
    reissued(server, authority)
    before = len(server.lines)
    (authority.folder / "key.pem").write_text("no key")
    server.wait_for("certificates stay as they were", 10, after=before)
    time.sleep(1)
    assert classify(server, **authority.client()) in range(10)
    assert get(server, "/readyz", trusting(authority.ca)) == 200
    reissued(server, authority)


@pytest.mark.front("grpcio")  # it is about the commands
def test_the_commands_speak_tls(mutual: Server, authority: Authority):
    """With the files that they are told of; without them they say that nobody answers."""
    mine = authority.ca.issue_cert("someone@example.org")
    mine.private_key_pem.write_to_path(authority.folder / "mine.key")
    mine.cert_chain_pems[0].write_to_path(authority.folder / "mine.pem")
    files = {"ca": "ca.pem", "cert": "mine.pem", "key": "mine.key"}
    flags = [f"--tls-{name}={authority.folder / file}" for name, file in files.items()]
    command = ["health", f"--server=localhost:{mutual.port}"]
    told = run_digits(*command, *flags, env=environment())
    assert (told.returncode, told.stdout) == (0, "SERVING\n")
    told = run_digits(*command, flags[0], env=environment())
    assert told.returncode == 3


def eventually(work: Callable[[], object], seconds: float = 15) -> None:
    """It works before the time is over."""
    until = time.monotonic() + seconds
    while True:
        try:
            work()
            return
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
