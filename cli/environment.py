"""The server that this environment describes: that of `digits serve` with the same variables, on this machine."""

import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cli.errors import fail
from service.config import Settings, SettingsError, read_settings
from service.transports.regular_files import read_regular
from service.transports.sockets import bare, reached

_SETTINGS = ("host", "port", "tls_cert", "tls_key", "tls_client_ca", "token_file", "open_health")
# The server's own certificate; those that follow it in the file are its authorities.
_FIRST = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OwnServer:
    """Where it listens, and what it asks of those who call. Its methods end the command when a file cannot be used."""

    settings: Settings
    address: str

    @classmethod
    def described(cls) -> Self:
        """By DIGITS_HOST, DIGITS_PORT, DIGITS_TLS_… and DIGITS_TOKEN_FILE; by default localhost:8001."""
        try:
            # Whether it takes tokens without TLS is its own affair.
            settings = read_settings({"allow_plaintext_tokens": True}, only=_SETTINGS)
        except SettingsError as error:
            fail(str(error), code=2)
        if settings.port == 0:
            fail("DIGITS_PORT is 0, a free port that only the server knows; name it with --server", code=2)
        host = settings.host if "host" in settings.model_fields_set else "localhost"
        return cls(settings, reached(host, settings.port))

    @property
    def certificate(self) -> bytes:
        """Its own certificate, PEM; empty without TLS. Only this server has its key, so it is the only one to trust."""
        path = self.settings.tls_cert
        if not path:
            return b""
        found = _FIRST.search(_read(path, "DIGITS_TLS_CERT"))
        if found is None:
            fail(f"DIGITS_TLS_CERT {path} holds no certificate in PEM", code=2)
        return found[0]

    def pair(self) -> tuple[bytes, bytes] | None:
        """Its key and its certificate with those above it, as a client shows them, where it asks clients for one."""
        if not self.settings.tls_client_ca:
            return None
        try:
            return read_regular(Path(self.settings.tls_key)), read_regular(Path(self.settings.tls_cert))
        except OSError:  # the key may be the server's alone
            return None

    def name(self, timeout: float) -> str | None:
        """A name that its certificate carries; None where it cannot be reached, or does not prove that it is its own.

        Whatever name that is: clients elsewhere call it by that, and this machine may call it by another.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the one certificate that is trusted says enough
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["h2"])
        host, _, port = self.address.rpartition(":")
        try:
            context.load_verify_locations(cadata=self.certificate.decode())
            if self.pair() is not None:
                context.load_cert_chain(self.settings.tls_cert, self.settings.tls_key)
            with (
                socket.create_connection((bare(host), int(port)), timeout) as plain,
                context.wrap_socket(plain) as peer,
            ):
                shown: dict[str, Any] = peer.getpeercert() or {}
        except OSError:  # the call that follows says why
            return None
        names = [name for kind, name in shown.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
        names += [name for part in shown["subject"] for kind, name in part if kind == "commonName"]
        return names[0] if names else ""

    def token(self, *, for_health: bool) -> str:
        """One of its tokens; empty where none is asked for."""
        if not self.settings.token_file or (for_health and self.settings.open_health):
            return ""
        from service.api.middleware.auth import TokenError, read_tokens

        try:
            return next((token for _, token in read_tokens(Path(self.settings.token_file))), "")
        except TokenError as error:
            fail(f"DIGITS_TOKEN_FILE: {error}", code=2)


def _read(path: str, variable: str) -> bytes:
    try:
        return read_regular(Path(path))
    except OSError as error:
        fail(f"{variable} {path} cannot be read: {error.strerror}", code=2)
