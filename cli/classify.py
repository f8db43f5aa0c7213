"""`digits classify`: image files in, digits drawn in the terminal or JSON out."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from cli.errors import fail
from cli.extras import Needs
from cli.server import Server, Timeout, TlsCa, TlsCert, TlsKey, TokenFile, access

if TYPE_CHECKING:
    from digits_client import Classification, Classifications, Listing, ModelCard
    from rich.console import Console

# Files of one call; few enough that drawing begins soon and a bad file costs few calls.
_MOST_FILES = 64
# Formats of --picture.
_PICTURES = (".png", ".pdf", ".svg")
# Bytes of a request beside its files: names, field numbers, lengths.
_ROOM = 4096


class Source(Protocol):
    """Where the answers come from: a server, or this process."""

    def models(self) -> "Listing": ...  # noqa: D102 as in DigitsClient
    def classify(  # noqa: D102
        self, images: list[bytes], *, activations: bool, coverage: float | None
    ) -> "Classifications": ...


def classify(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Image files; - reads one from stdin.")],
    server: Server = None,
    local: Annotated[bool, typer.Option("--local", help="Without a server: load the models here.")] = False,
    models: Annotated[
        Path | None, typer.Option(help="Models folder for --local.", show_default="models, or DIGITS_MODELS")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME[:VERSION]", help="Which model.", show_default="the server's default, newest version"
        ),
    ] = "",
    activations: Annotated[bool, typer.Option("--activations", help="Show what every neuron held.")] = False,
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Name the classes that cannot be ruled out: how often the true one shall be there."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file, for machines.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Draw the network at work on the one FILE: .png, .pdf or .svg."),
    ] = None,
    timeout: Timeout = 30.0,
    tls_ca: TlsCa = "",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
) -> None:
    """Classify image files and draw what the network saw.

    A file that cannot be read does not stop the others; the exit code is 1 when there was one.
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
                given = access(server, tls_ca, tls_cert, tls_key, token_file, timeout=timeout)
                source = DigitsClient(model=name, version=version, **given)
            except ValueError as error:
                fail(str(error), code=2)
        with source:
            listing = source.models()
            listing.find(name, version)
            if coverage is not None:
                _check_thresholds(source.model(name, version))
            show = _json_printer(activations) if as_json else _drawer(listing, activations, coverage is not None)
            wanted = activations or not as_json or picture is not None
            for file, answer in _answers(source, listing, files, activations=wanted, coverage=coverage):
                failed |= isinstance(answer, Exception)
                show(file, answer)
                if picture is not None and not isinstance(answer, Exception):
                    _save_picture(picture, source, file, answer)
    except Unavailable as error:
        fail(f"{error}; start one with `digits serve`, or use --local")
    except DigitsError as error:
        fail(str(error))
    raise typer.Exit(1 if failed else 0)


def _check_picture(picture: Path, files: list[str]) -> None:
    """Before anything is classified: whether there is one file, a format that is known, and what draws it."""
    if len(files) != 1:
        fail("--picture draws one digit: give one FILE", code=2)
    if picture.suffix not in _PICTURES:
        fail(f"--picture is {picture}, expected a name that ends in {', '.join(_PICTURES)}", code=2)
    with Needs("score"):
        importlib.import_module("matplotlib")


def _check_thresholds(card: "ModelCard") -> None:
    if not card.thresholds:
        fail(
            f"--coverage: model {card.model.name} version {card.model.version} has no thresholds to rule out classes by"
        )


def _save_picture(picture: Path, source: Any, file: str, answer: "Classification") -> None:
    from cli.picture import draw_network

    asked = answer.model.name, answer.model.version
    card, network = source.model(*asked), source.network(*asked)
    name = card.classes[answer.scores.argmax()]
    title = f"{Path(file).name}: {name} by {answer.model.name} {answer.model.version}, margin {answer.margin:.3f}"
    try:
        draw_network(picture, card, network.layers, answer, title=title)
    except OSError as error:
        fail(f"{picture} cannot be written: {error.strerror or error}")


def _answers(
    source: Source, listing: "Listing", files: list[str], **options: Any
) -> Iterator[tuple[str, "Classification | Exception"]]:
    """Each file with its result or what was wrong with it, in order, in calls within the server's limits."""
    room = listing.max_message_bytes - _ROOM
    most = min(listing.max_rows, _MOST_FILES)
    group: list[tuple[str, bytes | Exception]] = []
    size = 0
    for file in files:
        data = _read(file)
        if isinstance(data, bytes) and len(data) > room:
            data = ValueError(f"has {len(data)} bytes, more than the {room} that one call may carry")
        length = len(data) if isinstance(data, bytes) else 0
        if len(group) == most or size + length > room:
            yield from _group_answers(source, group, **options)
            group, size = [], 0
        group.append((file, data))
        size += length
    yield from _group_answers(source, group, **options)


def _group_answers(
    source: Source, group: list[tuple[str, bytes | Exception]], **options: Any
) -> Iterator[tuple[str, "Classification | Exception"]]:
    from digits_client import DigitsError, InvalidInput

    images = [data for _, data in group if isinstance(data, bytes)]
    answers: Iterator[Classification | Exception]
    try:
        answers = iter(source.classify(images, **options) if images else ())
    except InvalidInput as error:
        if len(images) > 1:  # one of them is bad: each is asked for alone
            for each in group:
                yield from _group_answers(source, [each], **options)
            return
        answers = iter([error])
    except DigitsError as error:
        answers = iter([error] * len(images))
    for file, data in group:
        yield file, data if isinstance(data, Exception) else next(answers)


def _read(file: str) -> bytes | Exception:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        return ValueError(error.strerror or str(error))


def _sentence(error: Exception) -> str:
    """What was wrong, without the request's field, which means nothing to who gave a file."""
    violations = getattr(error, "violations", ())
    return violations[0][1] if violations else str(error).removeprefix("encoded_images[0]: ")


def _json_printer(activations: bool) -> Any:
    def show(file: str, answer: "Classification | Exception") -> None:
        if isinstance(answer, Exception):
            record: dict[str, Any] = {"file": file, "error": _sentence(answer)}
        else:
            record = {
                "file": file,
                "digit": answer.digit,
                "scores": answer.scores.tolist(),
                "margin": answer.margin,
                "candidates": answer.candidates,
                "not_a_digit": answer.not_a_digit,
                "warnings": answer.warnings,
                "model": {
                    "name": answer.model.name,
                    "version": answer.model.version,
                    "sha256": answer.model.sha256,
                    "variant": answer.model.variant,
                },
            }
            if activations and answer.activations is not None:
                record["activations"] = {name: values.tolist() for name, values in answer.activations.items()}
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    return show


def _drawer(listing: "Listing", activations: bool, candidates: bool) -> Any:
    from rich.console import Console

    console = Console(highlight=False)

    def show(file: str, answer: "Classification | Exception") -> None:
        if isinstance(answer, Exception):
            sys.stdout.flush()
            sys.stderr.write(f"digits: {file}: {_sentence(answer)}\n")
        else:
            _draw(console, listing, file, answer, layers=activations, candidates=candidates)

    return show


def _draw(
    console: "Console",
    listing: "Listing",
    file: str,
    answer: "Classification",
    *,
    layers: bool,
    candidates: bool,
) -> None:
    from rich.text import Text

    from cli.drawing import draw_bars, draw_beside, draw_layer, draw_picture, is_coloured

    version = listing.find(answer.model.name, answer.model.version)
    assert answer.activations is not None
    pixels = answer.activations["pixels"].reshape(version.rows, version.cols)
    picture = draw_picture(pixels, version.pixel_max, coloured=is_coloured(console))
    room = console.width - max(line.cell_len for line in picture) - 5
    names = max(len(name) for name in version.classes)
    bars = draw_bars(answer.scores, version.classes, width=min(max(room - names - 10, 8), 36))
    ranked = [version.classes[place] for place in (-answer.scores).argsort(kind="stable")]
    title = Text.assemble((file, "bold"), "  ", (ranked[0], "bold green"))
    title.append(f"  by {answer.model.name} {answer.model.version} {answer.model.variant}".rstrip(), "dim")
    console.print(title, soft_wrap=True)
    console.print(draw_beside(picture, bars), end="", soft_wrap=True)
    if candidates:
        console.print(f"  cannot be ruled out: {', '.join(ranked[: len(answer.candidates)]) or 'none'}", soft_wrap=True)
    if answer.not_a_digit is not None and answer.not_a_digit >= 0.5:
        console.print(Text(f"  probably no digit: {answer.not_a_digit:.0%}", style="yellow"), soft_wrap=True)
    if layers:
        for name, values in answer.activations.items():
            if name != "pixels":
                console.print(Text("  ") + draw_layer(name, values, width=console.width), soft_wrap=True)
    for warning in answer.warnings:
        console.print(Text(f"  warning: {warning}", style="yellow"), soft_wrap=True)
    console.print()
