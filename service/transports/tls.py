"""The files for TLS: checked before they are used, and read again when they change."""

import asyncio
import os
import re
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from service.config import Settings
from service.telemetry.logs import log
from service.watched_files import CHECK_SECONDS, WatchedFiles, read_regular


class TlsError(Exception):
    """The files are invalid; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Pem:
    """The content of the files."""

    certificate: bytes
    """The server's certificate and its intermediates."""
    key: bytes
    client_ca: bytes | None
    """Authorities of client certificates; None if clients need no certificate."""


class Certificates:
    """The files, and their newest valid content."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Raises `TlsError`."""
        self._paths = (certificate, key, *([client_ca] if client_ca else []))
        self._files = WatchedFiles(*self._paths)
        self._pem = self._read()

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The files that the settings name; None without TLS. Raises `TlsError`."""
        if not settings.tls_cert:
            return None
        authority = Path(settings.tls_client_ca) if settings.tls_client_ca else None
        return cls(Path(settings.tls_cert), Path(settings.tls_key), authority)

    def current(self) -> Pem:
        """The newest valid content, another object when it is new. Invalid files are logged."""
        if not self._files.changed():
            return self._pem
        try:
            pem = self._read()
        except TlsError as error:  # perhaps only one of the files has been replaced so far
            log.warning("certificates stay as they were", reason=str(error))
            return self._pem
        if pem != self._pem:
            self._pem = pem
            log.info("certificates read again", certificate=str(self._paths[0]))
        return self._pem

    async def keep_renewed(self, use: Callable[[Pem], None]) -> None:
        """Call `use` with each new content, until cancelled. Where that fails it is logged, and tried again."""
        used, trouble = self._pem, ""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                if (now := self.current()) is not used:
                    use(now)
                    used, trouble = now, ""
            except OSError as error:
                if str(error) != trouble:
                    log.error("new certificates not used", certificate=str(self._paths[0]), reason=str(error))
                trouble = str(error)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Use the newest valid content for new connections of `context`, which goes on to trust a removed authority."""
        _load(context, self._pem)
        if self._pem.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED

    def _read(self) -> Pem:
        read = []
        for setting, path in zip(("tls_cert", "tls_key", "tls_client_ca"), self._paths, strict=False):
            try:
                read.append(read_regular(path))
            except OSError as error:
                raise TlsError(f"{setting}: {path} cannot be read: {error.strerror}") from None
        certificate, key, *authority = self._paths
        pem = Pem(read[0], read[1], read[2] if authority else None)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            _load_pair(context, pem)
        except (ssl.SSLError, ValueError) as error:
            raise TlsError(
                f"tls_cert, tls_key: {certificate} and {key} are no certificate and its key in PEM: {_reason(error)}"
            ) from None
        try:
            _load_authority(context, pem)
        except ssl.SSLError as error:
            raise TlsError(f"tls_client_ca: {authority[0]} holds no certificates in PEM: {_reason(error)}") from None
        return pem


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """For servers in Python: TLS 1.2 or newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificates.load_into(context)
    return context


def _load(context: ssl.SSLContext, pem: Pem) -> None:
    _load_pair(context, pem)
    _load_authority(context, pem)


def _load_pair(context: ssl.SSLContext, pem: Pem) -> None:
    with _as_file(pem.certificate) as certificate, _as_file(pem.key) as key:
        context.load_cert_chain(certificate, key, password=_no_passphrase)


def _load_authority(context: ssl.SSLContext, pem: Pem) -> None:
    if pem.client_ca is not None:
        with _as_file(pem.client_ca) as authority:
            context.load_verify_locations(authority)


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """The path of a file without a name that holds `content`; OpenSSL loads a pair from files alone.

    The operator's own files may be others by now, or pipes, which would be waited for.
    """
    in_memory = getattr(os, "memfd_create", None)
    with open(in_memory("pem"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _no_passphrase() -> bytes:
    """Without it OpenSSL would ask on the terminal."""
    return b""


def _reason(error: Exception) -> str:
    """What OpenSSL says, without the place in its code."""
    text = getattr(error, "reason", None) or re.sub(r"\[SSL\] | ?\(_ssl\.c:\d+\)", "", str(error))
    return str(text).replace("_", " ").lower()
