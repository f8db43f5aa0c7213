"""The options by which a command finds its server."""

from typing import Annotated

import typer

Server = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the server listens.")]
Timeout = Annotated[float, typer.Option(help="How long to wait for an answer, seconds.", min=0.001)]
