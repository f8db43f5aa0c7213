"""Output of `digits classify` for each file: drawings in the terminal, or JSON lines."""

import json
import sys
from typing import TYPE_CHECKING, Any, Protocol

from cli.errors import reason

if TYPE_CHECKING:
    from digits_client import Classification, Listing
    from rich.console import Console

    from cli.drawing.hints import Hints

# `not_a_digit` from which a drawing says so.
_PROBABLY_NO_DIGIT = 0.5


class Printer(Protocol):
    """Prints the result of one file, or the error in its place."""

    def __call__(self, file: str, result: "Classification | Exception") -> None:
        """Print it."""


def json_printer(*, activations: bool) -> Printer:
    """Prints one JSON object for each file to stdout."""

    def show(file: str, result: "Classification | Exception") -> None:
        record = _error_record(file, result) if isinstance(result, Exception) else _record(file, result, activations)
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    return show


def terminal_printer(listing: "Listing", *, activations: bool, candidates: bool, hints: "Hints") -> Printer:
    """Draws each digit on stdout, and writes errors to stderr. `listing` has the sizes of the images."""
    from rich.console import Console

    console = Console(highlight=False)

    def show(file: str, result: "Classification | Exception") -> None:
        if isinstance(result, Exception):
            sys.stdout.flush()
            sys.stderr.write(f"digits: {file}: {reason(result)}\n")
        else:
            _draw(console, listing, file, result, layers=activations, candidates=candidates)
            _tell(console, result, hints)

    return show


def _error_record(file: str, error: Exception) -> dict[str, Any]:
    return {"file": file, "error": reason(error)}


def _record(file: str, result: "Classification", activations: bool) -> dict[str, Any]:
    record = {
        "file": file,
        "digit": result.digit,
        "scores": result.scores.tolist(),
        "margin": result.margin,
        "candidates": result.candidates,
        "not_a_digit": result.not_a_digit,
        "rejected": result.rejected,
        "warnings": result.warnings,
        "warning_codes": result.warning_codes,
        "model": {
            "name": result.model.name,
            "version": result.model.version,
            "sha256": result.model.sha256,
            "variant": result.model.variant,
        },
    }
    if activations and result.activations is not None:
        record["activations"] = {name: values.tolist() for name, values in result.activations.items()}
    return record


def _draw(
    console: "Console",
    listing: "Listing",
    file: str,
    result: "Classification",
    *,
    layers: bool,
    candidates: bool,
) -> None:
    from rich.text import Text

    from cli.drawing.terminal import draw_bars, draw_beside, draw_layer, draw_picture, is_coloured

    version = listing.find(result.model.name, result.model.version)
    assert result.activations is not None
    pixels = result.activations["pixels"].reshape(version.rows, version.cols)
    picture = draw_picture(pixels, version.pixel_max, coloured=is_coloured(console))
    room = console.width - max(line.cell_len for line in picture) - 5
    names = max(len(name) for name in version.classes)
    bars = draw_bars(result.scores, version.classes, width=min(max(room - names - 10, 8), 36))
    ranked = [version.classes[place] for place in (-result.scores).argsort(kind="stable")]
    title = Text.assemble((file, "bold"), "  ", (ranked[0], "bold green"))
    title.append(f"  by {result.model.name} {result.model.version} {result.model.variant}".rstrip(), "dim")
    console.print(title, soft_wrap=True)
    console.print(draw_beside(picture, bars), end="", soft_wrap=True)
    if candidates:
        console.print(f"  cannot be ruled out: {', '.join(ranked[: len(result.candidates)]) or 'none'}", soft_wrap=True)
    if result.not_a_digit is not None and (result.rejected or result.not_a_digit >= _PROBABLY_NO_DIGIT):
        verdict = "rejected, no digit" if result.rejected else "probably no digit"
        console.print(Text(f"  {verdict}: {result.not_a_digit:.0%}", style="yellow"), soft_wrap=True)
    if layers:
        for name, values in result.activations.items():
            if name != "pixels":
                console.print(Text("  ") + draw_layer(name, values, width=console.width), soft_wrap=True)


def _tell(console: "Console", result: "Classification", hints: "Hints") -> None:
    """What looked wrong, and what may be done."""
    from rich.text import Text

    lines = [f"  warning: {warning}" for warning in result.warnings] + [f"  {hint}" for hint in hints.of(result)]
    for line in lines:
        console.print(Text(line, style="yellow"), soft_wrap=True)
    console.print()
