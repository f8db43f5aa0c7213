"""`digits classify`: image files in, digits drawn in the terminal or JSON out."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.drawing.classification import json_printer, terminal_printer
from cli.drawing.hints import Hints
from cli.errors import fail
from cli.extras import Needs
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
from cli.server.source import Source, open_source, read_file, room_for_files

if TYPE_CHECKING:
    from digits_client import Classification, Listing

# Files of one call, at most: drawing begins soon, and a bad file makes few calls necessary.
_MAX_FILES = 64
# Formats of --picture.
_PICTURE_SUFFIXES = (".png", ".pdf", ".svg")


def classify(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Image files; - reads one from stdin.")],
    server: Server = None,
    local: Local = False,
    models: Models = None,
    model: ModelName = "",
    activations: Annotated[bool, typer.Option("--activations", help="Show the activation of every neuron.")] = False,
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Name the classes that cannot be ruled out; the true one is among them in this share of images.",
        ),
    ] = None,
    reject_above: RejectAbove = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each file.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.png", help="Draw the network with its activations for the one FILE: .png, .pdf or .svg."
        ),
    ] = None,
    timeout: Timeout = 30.0,
    tls_ca: TlsCa = "",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
) -> None:
    """Classify image files and draw what the network saw.

    A file that cannot be read does not stop the others; the exit code is then 1.
    """
    if picture is not None:
        _check_picture(picture, files)
    name, _, version = model.partition(":")
    failed = False
    with open_source(
        server,
        local=local,
        models=models,
        model=name,
        version=version,
        coverage=coverage,
        reject_above=reject_above,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
        token_file=token_file,
        timeout=timeout,
    ) as (source, listing):
        show = (
            json_printer(activations=activations)
            if as_json
            else terminal_printer(
                listing,
                activations=activations,
                candidates=coverage is not None,
                hints=Hints(source, listing, name),
            )
        )
        with_activations = activations or not as_json or picture is not None
        options = {"activations": with_activations, "coverage": coverage, "reject_above": reject_above}
        for file, result in _classify_files(source, listing, files, **options):
            failed |= isinstance(result, Exception)
            show(file, result)
            if picture is not None and not isinstance(result, Exception):
                _save_picture(picture, source, file, result)
    raise typer.Exit(1 if failed else 0)


def _check_picture(picture: Path, files: list[str]) -> None:
    """End the command unless there is one file, a known format, and matplotlib."""
    if len(files) != 1:
        fail("--picture draws one digit: give one FILE", code=2)
    if picture.suffix not in _PICTURE_SUFFIXES:
        fail(f"--picture is {picture}, expected a name that ends in {', '.join(_PICTURE_SUFFIXES)}", code=2)
    with Needs("score"):
        importlib.import_module("matplotlib")


def _save_picture(picture: Path, source: Source, file: str, result: "Classification") -> None:
    from cli.drawing.network import draw_network

    model, version = result.model.name, result.model.version
    card, network = source.model(model, version), source.network(model, version)
    digit = card.classes[result.scores.argmax()]
    title = f"{Path(file).name}: {digit} by {model} {version}, margin {result.margin:.3f}"
    try:
        draw_network(picture, card, network.layers, result, title=title)
    except OSError as error:
        fail(f"{picture} cannot be written: {error.strerror or error}")


def _classify_files(
    source: Source, listing: "Listing", files: list[str], **options: Any
) -> Iterator[tuple[str, "Classification | Exception"]]:
    """Each file with its result or its error, in order, in calls within the server's limits."""
    max_bytes = room_for_files(listing.max_message_bytes)
    max_files = min(listing.max_rows, _MAX_FILES)
    group: list[tuple[str, bytes | Exception]] = []
    size = 0
    for file in files:
        data = read_file(file, listing.max_message_bytes)
        length = len(data) if isinstance(data, bytes) else 0
        if len(group) == max_files or size + length > max_bytes:
            yield from _classify_group(source, group, **options)
            group, size = [], 0
        group.append((file, data))
        size += length
    yield from _classify_group(source, group, **options)


def _classify_group(
    source: Source, group: list[tuple[str, bytes | Exception]], **options: Any
) -> Iterator[tuple[str, "Classification | Exception"]]:
    from digits_client import DigitsError, InvalidInput

    images = [data for _, data in group if isinstance(data, bytes)]
    results: Iterator[Classification | Exception]
    try:
        results = iter(source.classify(images, **options) if images else ())
    except InvalidInput as error:
        if len(images) > 1:  # one of them is bad, and calls of one file show which
            for each in group:
                yield from _classify_group(source, [each], **options)
            return
        results = iter([error])
    except DigitsError as error:
        results = iter([error] * len(images))
    for file, data in group:
        yield file, data if isinstance(data, Exception) else next(results)
