"""`digits health`: a probe with an exit code."""

from typing import Annotated

import typer

from cli.server import Server, Timeout, TlsCa, TlsCert, TlsKey, TokenFile, access


def health(
    server: Server = None,
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

    Without --server, one that asks for a client certificate and takes neither that of --tls-cert nor its own can only
    be seen to listen: 0, and LISTENING.
    """
    from digits_client import DigitsClient, DigitsError, Unavailable

    from cli.errors import fail

    try:
        with DigitsClient(
            **access(server, tls_ca, tls_cert, tls_key, token_file, timeout=timeout, for_health=True)
        ) as client:
            status = client.health(service)
    except ValueError as error:  # of the options
        fail(str(error), code=2)
    except Unavailable as error:
        if server is None and not service and not tls_ca and _listens(timeout):
            typer.echo("LISTENING")
            raise typer.Exit(0) from None
        fail(str(error), code=3)
    except DigitsError as error:
        fail(str(error), code=3)
    typer.echo(status.name)
    raise typer.Exit(0 if status else 1)


def _listens(timeout: float) -> bool:
    """Whether the server that the environment describes is there, and asks for a client certificate."""
    from cli.environment import OwnServer

    own = OwnServer.described()
    return bool(own.settings.tls_client_ca) and own.name(timeout) is not None
