"""The options by which a command finds its server, and is let in."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.fail import fail

Server = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the server listens.")]
Timeout = Annotated[float, typer.Option(help="How long to wait for an answer, seconds.", min=0.001)]
TlsCa = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Use TLS; the server's certificate must be signed by one of these authorities (PEM), or by one that "
        "the public trusts, for `public`.",
    ),
]
TlsCert = Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate to show to the server (PEM).")]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")]
TokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help="File with the token to send with each call.")]


def access(tls_ca: str, tls_cert: Path | None, tls_key: Path | None, token_file: Path | None) -> dict[str, Any]:
    """The `credentials` and `metadata` of a `DigitsClient`; ends the command when a file cannot be read."""
    if (tls_cert is None) != (tls_key is None):
        fail("--tls-cert and --tls-key go together", code=2)
    if tls_cert is not None and not tls_ca:
        fail("--tls-cert needs --tls-ca", code=2)
    given: dict[str, Any] = {}
    if tls_ca:
        import grpc

        roots = None if tls_ca == "public" else _read(Path(tls_ca), "--tls-ca")
        key = None if tls_key is None else _read(tls_key, "--tls-key")
        chain = None if tls_cert is None else _read(tls_cert, "--tls-cert")
        given["credentials"] = grpc.ssl_channel_credentials(roots, key, chain)
    if token_file is not None:
        token = _read(token_file, "--token-file").strip()
        if not token.isascii() or not token.decode("ascii").isprintable() or not token:
            fail(f"--token-file {token_file} holds no token: expected printable ASCII characters", code=2)
        given["metadata"] = [("authorization", f"Bearer {token.decode('ascii')}")]
    return given


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"{flag} {path} cannot be read: {error.strerror}", code=2)
