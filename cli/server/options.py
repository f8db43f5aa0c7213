"""The options with which a command finds its server and its model, and authenticates."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.errors import fail

Server = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of the server; the default is the one that DIGITS_HOST, DIGITS_PORT, DIGITS_TLS_… "
        "and DIGITS_TOKEN_FILE describe.",
        show_default="localhost:8001",
    ),
]
Timeout = Annotated[float, typer.Option(help="Timeout of a call, seconds.", min=0.001)]
TlsCa = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Use TLS, and verify the server's certificate against these authorities (PEM); `public`: those that "
        "gRPC trusts by default.",
    ),
]
TlsCert = Annotated[Path | None, typer.Option(metavar="FILE", help="Client certificate (PEM).")]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")]
Local = Annotated[bool, typer.Option("--local", help="Load the models in this process, without a server.")]
Models = Annotated[
    Path | None,
    typer.Option(help="Models folder for --local.", show_default="that of digits serve, or DIGITS_MODELS"),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model", metavar="NAME[:VERSION]", help="Which model.", show_default="the server's default, newest version"
    ),
]
RejectAbove = Annotated[
    float | None,
    typer.Option(metavar="CHANCE", help="Reject what is no digit with more than this chance; between 0 and 1."),
]
TokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help="File with the token of each call.")]


def client_options(
    server: str | None,
    tls_ca: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    token_file: Path | None,
    *,
    timeout: float,
    for_health: bool = False,
) -> dict[str, Any]:
    """Arguments of a `DigitsClient` for `server`; None means the server that the environment describes.

    With `for_health` only health checks follow. Ends the command if a file cannot be read.
    """
    if (tls_cert is None) != (tls_key is None):
        fail("--tls-cert and --tls-key go together", code=2)
    own = None
    if server is None:
        from cli.server.own_server import OwnServer

        own = OwnServer.from_environment()
    options: dict[str, Any] = {"target": server if own is None else own.address, "timeout": timeout}
    pair = None
    if tls_cert is not None and tls_key is not None:
        pair = _read(tls_key, "--tls-key"), _read(tls_cert, "--tls-cert")
    if tls_ca:
        roots = None if tls_ca == "public" else _read(Path(tls_ca), "--tls-ca")
        options["credentials"] = _credentials(roots, pair)
    elif own is not None and own.certificate:
        options["credentials"] = _credentials(own.certificate, pair or own.key_and_certificates())
        options["server_name"] = own.certificate_name(timeout) or ""
    elif pair is not None:
        fail("--tls-cert needs --tls-ca", code=2)
    token = ""
    if token_file is not None:
        text = _read(token_file, "--token-file").strip()
        if not text.isascii() or not text.decode("ascii").isprintable() or not text:
            fail(f"--token-file {token_file} holds no token: expected printable ASCII characters", code=2)
        token = text.decode("ascii")
    elif own is not None:
        token = own.token(for_health=for_health)
    if token:
        options["metadata"] = [("authorization", f"Bearer {token}")]
    return options


def _credentials(roots: bytes | None, pair: tuple[bytes, bytes] | None) -> Any:
    import grpc

    return grpc.ssl_channel_credentials(roots, *(pair or (None, None)))


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"{flag} {path} cannot be read: {error.strerror}", code=2)
