"""`digits models`: the models of a server, with the limits of a call."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.server.options import Server, Timeout, TlsCa, TlsCert, TlsKey, TokenFile, client_options

if TYPE_CHECKING:
    from digits_client import Listing, ModelCard


def models(
    server: Server = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    timeout: Timeout = 10.0,
    tls_ca: TlsCa = "",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    token_file: TokenFile = None,
) -> None:
    """List what a server has: its models with their versions, and the limits of a call."""
    from digits_client import DigitsClient, DigitsError

    from cli.errors import fail

    try:
        with DigitsClient(**client_options(server, tls_ca, tls_cert, tls_key, token_file, timeout=timeout)) as client:
            listing = client.models()
            cards = {
                (model.name, version.version): client.model(model.name, version.version)
                for model in listing.models
                for version in model.versions
                if version.ready
            }
    except ValueError as error:  # of the options
        fail(str(error), code=2)
    except DigitsError as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(_as_json(listing, cards), ensure_ascii=False))
    else:
        _print_table(listing, cards)


def _as_json(listing: "Listing", cards: dict[tuple[str, str], "ModelCard"]) -> dict[str, Any]:
    return {
        "default_model": listing.default_model,
        "max_rows": listing.max_rows,
        "max_message_bytes": listing.max_message_bytes,
        "models": [
            {
                "name": model.name,
                "version": version.version,
                "state": version.state,
                "reason": version.reason,
                "rows": version.rows,
                "cols": version.cols,
                "pixel_max": version.pixel_max,
                "classes": version.classes,
                "accuracy": card.accuracy if card else None,
                "variant": card.model.variant if card else "",
            }
            for model in listing.models
            for version in model.versions
            for card in (cards.get((model.name, version.version)),)
        ],
    }


def _print_table(listing: "Listing", cards: dict[tuple[str, str], "ModelCard"]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("model", "version", "state", "image", "pixels", "classes", "accuracy"):
        right = title in ("version", "accuracy")
        table.add_column(title, justify="right" if right else "left", no_wrap=title == "model")
    reasons = []
    for model in listing.models:
        newest = max((each.version for each in model.versions if each.ready), key=int, default=None)
        for version in model.versions:
            is_default = model.name == listing.default_model and version.version == newest
            card = cards.get((model.name, version.version))
            colour = {"ready": "green", "failed": "red"}.get(version.state, "yellow")
            table.add_row(
                Text(model.name + (" (default)" if is_default else ""), style="bold" if is_default else ""),
                version.version + (f" {card.model.variant}" if card and card.model.variant else ""),
                Text(version.state, style=colour),
                f"{version.rows}×{version.cols}" if version.rows else "",
                f"0..{version.pixel_max}" if version.rows else "",
                _classes(version.classes),
                f"{card.accuracy:.2%}" if card else "",
            )
            if version.reason:
                reasons.append(f"{model.name} {version.version}: {version.reason}")
    console = Console(highlight=False)
    console.print(table)
    for reason in reasons:
        console.print(reason, style="red", markup=False, soft_wrap=True)
    console.print(
        f"One call carries up to {listing.max_rows} images and {listing.max_message_bytes / 2**20:g} MiB.",
        style="dim",
    )


def _classes(names: tuple[str, ...]) -> str:
    """The names of the classes, or their number if the names are too long for the table."""
    if names == tuple(str(number) for number in range(len(names))) and names:
        return f"0..{len(names) - 1}"
    text = " ".join(names)
    return text if len(text) <= 30 else f"{len(names)} classes"
