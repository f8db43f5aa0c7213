"""The files for TLS, which may change at any moment."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest
import structlog.testing
import trustme

import service.transports.tls
from service.transports.tls import Certificates, Pem, TlsError, server_context
from service.watched_files import read_regular


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A pair of certificate and key, and its authority."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    paths = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    issued.cert_chain_pems[0].write_to_path(paths[0])
    issued.private_key_pem.write_to_path(paths[1])
    authority.cert_pem.write_to_path(paths[2])
    return paths


@pytest.mark.parametrize("which", [0, 1, 2])
def test_files_that_are_pipes_once_they_were_read(files: tuple[Path, Path, Path], which: int, monkeypatch):
    """What was read is used. OpenSSL would wait for the pipe's writer, and every caller with it."""

    def read_and_replace(path: Path) -> bytes:
        content = read_regular(path)
        if path == files[which]:
            path.unlink()
            os.mkfifo(path)
        return content

    monkeypatch.setattr(service.transports.tls, "read_regular", read_and_replace)
    certificates = Certificates(*files)
    context = server_context(certificates)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_content_that_does_not_fit_names_the_files(files: tuple[Path, Path, Path]):
    """Those of the operator, and not what OpenSSL was given."""
    files[1].write_text("no key")
    with pytest.raises(
        TlsError, match=rf"^tls_cert, tls_key: {files[0]} and {files[1]} are no certificate and its key in PEM: "
    ):
        Certificates(*files)


def test_an_authority_without_certificates_is_named(files: tuple[Path, Path, Path]):
    """It is the file of client certificates."""
    files[2].write_text("nothing")
    with pytest.raises(TlsError, match=rf"^tls_client_ca: {files[2]} holds no certificates in PEM"):
        Certificates(*files)


async def test_new_certificates_are_used_until_it_works(files: tuple[Path, Path, Path], monkeypatch):
    """Where they cannot be used, as on a full disk, that is logged once, and the next ones are not forgotten."""
    monkeypatch.setattr(service.transports.tls, "CHECK_SECONDS", 0)
    monkeypatch.setattr("service.watched_files.CHECK_SECONDS", 0)
    certificates = Certificates(files[0], files[1], None)
    tried: list[bytes] = []
    used = asyncio.Event()

    def use(pem: Pem) -> None:
        tried.append(pem.certificate)
        if len(tried) < 3:
            raise OSError(28, "No space left on device")
        used.set()

    renewed = trustme.CA().issue_cert("localhost")
    with structlog.testing.capture_logs() as lines:
        task = asyncio.create_task(certificates.keep_renewed(use))
        renewed.cert_chain_pems[0].write_to_path(files[0])
        renewed.private_key_pem.write_to_path(files[1])
        async with asyncio.timeout(30):
            await used.wait()
        task.cancel()
    assert tried == [files[0].read_bytes()] * 3
    assert [line["reason"] for line in lines if line["log_level"] == "error"] == ["[Errno 28] No space left on device"]
