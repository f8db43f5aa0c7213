"""`digits read`: pictures with several digits in, their text or JSON out."""

from pathlib import Path
from typing import Annotated

import typer

from cli.drawing.reading import draw_boxes, json_printer, terminal_printer
from cli.errors import fail
from cli.server.options import (
    Local,
    ModelName,
    Models,
    RejectAbove,
    Server,
    Timeout,
    TlsCa,
    TlsCert,
    TlsKey,
    TokenFile,
)
from cli.server.source import open_source, read_file


def read(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Image files; - reads one from stdin.")],
    server: Server = None,
    local: Local = False,
    models: Models = None,
    model: ModelName = "",
    reject_above: RejectAbove = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each file.")] = False,
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Draw the one FILE, in grey, with a box around each digit."),
    ] = None,
    timeout: Timeout = 30.0,
    tls_ca: TlsCa = "",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
) -> None:
    """Read the digits of pictures: several side by side, lines of them, the fields of a grid.

    Of each file the lines are printed, and how sure they are. A field without a digit is a `.`, a rejected digit
    a `?`. A file that cannot be read does not stop the others; the exit code is then 1.
    """
    from digits_client import DigitsError

    if boxes is not None:
        _check_boxes(boxes, files)
    name, _, version = model.partition(":")
    show = json_printer if as_json else terminal_printer()
    failed = False
    with open_source(
        server,
        local=local,
        models=models,
        model=name,
        version=version,
        coverage=None,
        reject_above=reject_above,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
        token_file=token_file,
        timeout=timeout,
    ) as (source, listing):
        for file in files:
            data = read_file(file, listing.max_message_bytes)
            if isinstance(data, Exception):
                show(file, data)
                failed = True
                continue
            try:
                reading = source.read(data, reject_above=reject_above)
            except DigitsError as error:
                show(file, error)
                failed = True
                continue
            show(file, reading)
            if boxes is not None:
                try:
                    draw_boxes(boxes, data, reading)
                except OSError as error:
                    fail(f"{boxes} cannot be written: {error.strerror or error}")
    raise typer.Exit(1 if failed else 0)


def _check_boxes(boxes: Path, files: list[str]) -> None:
    if len(files) != 1:
        fail("--boxes draws one picture: give one FILE", code=2)
    if boxes.suffix != ".png":
        fail(f"--boxes is {boxes}, expected a name that ends in .png", code=2)
