"""`digits classify`: image files in, digits drawn in the terminal or JSON out."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from cli.drawing.classification import json_printer, terminal_printer
from cli.errors import fail
from cli.extras import Needs
from cli.server.options import Server, Timeout, TlsCa, TlsCert, TlsKey, TokenFile, client_options

if TYPE_CHECKING:
    from digits_client import Classification, Classifications, Listing, ModelCard

# Files of one call, at most: drawing begins soon, and a bad file makes few calls necessary.
_MAX_FILES = 64
# Formats of --picture.
_PICTURE_SUFFIXES = (".png", ".pdf", ".svg")
# Bytes of a request beside its files: names, field numbers, lengths.
_REQUEST_OVERHEAD = 4096


class Source(Protocol):
    """A server or this process, as `DigitsClient` has it."""

    def models(self) -> "Listing": ...  # noqa: D102
    def classify(  # noqa: D102
        self, images: list[bytes], *, activations: bool, coverage: float | None
    ) -> "Classifications": ...


def classify(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Image files; - reads one from stdin.")],
    server: Server = None,
    local: Annotated[bool, typer.Option("--local", help="Load the models in this process, without a server.")] = False,
    models: Annotated[
        Path | None,
        typer.Option(help="Models folder for --local.", show_default="that of digits serve, or DIGITS_MODELS"),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME[:VERSION]", help="Which model.", show_default="the server's default, newest version"
        ),
    ] = "",
    activations: Annotated[bool, typer.Option("--activations", help="Show the activation of every neuron.")] = False,
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Name the classes that cannot be ruled out; the true one is among them in this share of images.",
        ),
    ] = None,
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
    from digits_client import DigitsClient, DigitsError, Unavailable

    if local and server is not None:
        fail("--server and --local exclude each other", code=2)
    if models is not None and not local:
        fail("--models goes with --local; a server has models of its own", code=2)
    if coverage is not None and not 0 < coverage < 1:
        fail(f"--coverage is {coverage:g}, expected more than 0 and less than 1", code=2)
    if picture is not None:
        _check_picture(picture, files)
    name, _, version = model.partition(":")
    failed = False
    try:
        source: Any
        if local:
            from cli.in_process import LocalDigits

            source = LocalDigits(models, model=name, version=version)
        else:
            try:
                options = client_options(server, tls_ca, tls_cert, tls_key, token_file, timeout=timeout)
                source = DigitsClient(model=name, version=version, **options)
            except ValueError as error:
                fail(str(error), code=2)
        with source:
            listing = source.models()
            listing.find(name, version)
            if coverage is not None:
                _check_thresholds(source.model(name, version))
            show = (
                json_printer(activations=activations)
                if as_json
                else terminal_printer(listing, activations=activations, candidates=coverage is not None)
            )
            with_activations = activations or not as_json or picture is not None
            for file, result in _classify_files(
                source, listing, files, activations=with_activations, coverage=coverage
            ):
                failed |= isinstance(result, Exception)
                show(file, result)
                if picture is not None and not isinstance(result, Exception):
                    _save_picture(picture, source, file, result)
    except Unavailable as error:
        fail(f"{error}; start one with `digits serve`, or use --local")
    except DigitsError as error:
        fail(str(error))
    raise typer.Exit(1 if failed else 0)


def _check_picture(picture: Path, files: list[str]) -> None:
    """End the command unless there is one file, a known format, and matplotlib."""
    if len(files) != 1:
        fail("--picture draws one digit: give one FILE", code=2)
    if picture.suffix not in _PICTURE_SUFFIXES:
        fail(f"--picture is {picture}, expected a name that ends in {', '.join(_PICTURE_SUFFIXES)}", code=2)
    with Needs("score"):
        importlib.import_module("matplotlib")


def _check_thresholds(card: "ModelCard") -> None:
    if not card.thresholds:
        fail(
            f"--coverage: model {card.model.name} version {card.model.version} has no thresholds to rule out classes by"
        )


def _save_picture(picture: Path, source: Any, file: str, result: "Classification") -> None:
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
    max_bytes = listing.max_message_bytes - _REQUEST_OVERHEAD
    max_files = min(listing.max_rows, _MAX_FILES)
    group: list[tuple[str, bytes | Exception]] = []
    size = 0
    for file in files:
        data = _read(file)
        if isinstance(data, bytes) and len(data) > max_bytes:
            data = ValueError(f"has {len(data)} bytes, more than the {max_bytes} that one call may carry")
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


def _read(file: str) -> bytes | Exception:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        return ValueError(error.strerror or str(error))
