"""`digits health`: a probe with an exit code."""

from typing import Annotated

import typer

from cli.server import Server, Timeout, TlsCa, TlsCert, TlsKey, TokenFile, access


def health(
    server: Server = "localhost:8001",
    service: Annotated[
        str, typer.Option(help="A service or a model to ask about.", show_default="the whole server")
    ] = "",
    timeout: Timeout = 5.0,
    tls_ca: TlsCa = "",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
) -> None:
    """Ask a server whether it serves; the exit code tells.

    0: serving. 1: it answers, and is not serving or knows no such service. 2: wrong usage. 3: no answer.
    """
    from cli.fail import fail
    from digits_client import DigitsClient, DigitsError

    try:
        with DigitsClient(server, timeout=timeout, **access(tls_ca, tls_cert, tls_key, token_file)) as client:
            status = client.health(service)
    except ValueError as error:  # of the options
        fail(str(error), code=2)
    except DigitsError as error:
        fail(str(error), code=3)
    typer.echo(status.name)
    raise typer.Exit(0 if status else 1)
