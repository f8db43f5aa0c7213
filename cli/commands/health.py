"""`digits health`: a health check with an exit code."""

from typing import Annotated

import typer

from cli.server.options import Server, Timeout, TlsCa, TlsCert, TlsKey, TokenFile, client_options


def health(
    server: Server = None,
    service: Annotated[str, typer.Option(help="A service or a model.", show_default="the whole server")] = "",
    timeout: Timeout = 5.0,
    tls_ca: TlsCa = "",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
) -> None:
    """Ask a server whether it serves; the exit code tells.

    0: serving. 1: not serving, or an unknown service. 2: wrong usage. 3: no answer.

    Without --server: if the server requires a client certificate and accepts neither that of --tls-cert nor its own,
    the command checks only that it listens. It then prints LISTENING, with exit code 0.
    """
    from digits_client import DigitsClient, DigitsError, Unavailable

    from cli.errors import fail

    try:
        with DigitsClient(
            **client_options(server, tls_ca, tls_cert, tls_key, token_file, timeout=timeout, for_health=True)
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
    """Whether the server that the environment describes runs and requires a client certificate."""
    from cli.server.own_server import OwnServer

    own = OwnServer.from_environment()
    return bool(own.settings.tls_client_ca) and own.certificate_name(timeout) is not None
