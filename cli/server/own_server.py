"""The server that the environment describes: `digits serve` with the same variables, on this machine."""

import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cli.errors import fail
from service.config import Settings, SettingsError, read_settings
from service.transports.sockets import bare, reached
from service.watched_files import read_regular

_SETTINGS = ("host", "port", "tls_cert", "tls_key", "tls_client_ca", "token_file", "open_health")
# The certificate of the server itself; those after it in the file are its authorities.
_FIRST_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OwnServer:
    """Its address, certificate and token. The methods end the command if a file cannot be used."""

    settings: Settings
    address: str

    @classmethod
    def from_environment(cls) -> Self:
        """From DIGITS_HOST, DIGITS_PORT, DIGITS_TLS_… and DIGITS_TOKEN_FILE; the default is localhost:8001."""
        try:
            # The server decides whether it accepts tokens without TLS.
            settings = read_settings({"allow_plaintext_tokens": True}, only=_SETTINGS)
        except SettingsError as error:
            fail(str(error), code=2)
        if settings.port == 0:
            fail("DIGITS_PORT is 0, a free port that only the server knows; name it with --server", code=2)
        host = settings.host if "host" in settings.model_fields_set else "localhost"
        return cls(settings, reached(host, settings.port))

    @property
    def certificate(self) -> bytes:
        """Its own certificate, PEM; empty without TLS. A client trusts it alone, since only this server has its key."""
        path = self.settings.tls_cert
        if not path:
            return b""
        found = _FIRST_CERTIFICATE.search(_read(path, "DIGITS_TLS_CERT"))
        if found is None:
            fail(f"DIGITS_TLS_CERT {path} holds no certificate in PEM", code=2)
        return found[0]

    def key_and_certificates(self) -> tuple[bytes, bytes] | None:
        """Its key and certificate chain, PEM, for a client; None if it requires no client certificate."""
        if not self.settings.tls_client_ca:
            return None
        try:
            return read_regular(Path(self.settings.tls_key)), read_regular(Path(self.settings.tls_cert))
        except OSError:  # the server may run as another user, who alone may read the key
            return None

    def certificate_name(self, timeout: float) -> str | None:
        """A name in its certificate; None if it cannot be reached or does not prove that it owns the certificate.

        The address on this machine may have a name that the certificate does not carry, so a client expects this one.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # only the one certificate is trusted, whatever its names
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["h2"])
        host, _, port = self.address.rpartition(":")
        try:
            context.load_verify_locations(cadata=self.certificate.decode())
            if self.key_and_certificates() is not None:
                context.load_cert_chain(self.settings.tls_cert, self.settings.tls_key)
            with (
                socket.create_connection((bare(host), int(port)), timeout) as plain,
                context.wrap_socket(plain) as peer,
            ):
                certificate: dict[str, Any] = peer.getpeercert() or {}
        except OSError:  # the following call reports the reason
            return None
        names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
        names += [name for part in certificate["subject"] for kind, name in part if kind == "commonName"]
        return names[0] if names else ""

    def token(self, *, for_health: bool) -> str:
        """One of its tokens; empty if it requires none."""
        if not self.settings.token_file or (for_health and self.settings.open_health):
            return ""
        from service.api.middleware.auth import TokenError, read_tokens
        from service.api.middleware.roles import DEFAULT_ROLES

        try:
            tokens = read_tokens(Path(self.settings.token_file))
        except TokenError as error:
            fail(f"DIGITS_TOKEN_FILE: {error}", code=2)
        # The commands classify and read; the first token that may do most of it.
        return max(tokens, key=lambda token: len(token.roles & DEFAULT_ROLES)).secret if tokens else ""


def _read(path: str, variable: str) -> bytes:
    try:
        return read_regular(Path(path))
    except OSError as error:
        fail(f"{variable} {path} cannot be read: {error.strerror}", code=2)
