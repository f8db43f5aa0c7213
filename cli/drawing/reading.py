"""Output of `digits read` for each file: lines in the terminal, JSON lines, or a picture with boxes."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cli.errors import reason

if TYPE_CHECKING:
    from digits_client import ReadDigit, Reading

Printer = Callable[[str, "Reading | Exception"], None]
"""Prints the reading of one file, or the error in its place."""

_BOX, _REJECTED = (31, 120, 60), (200, 60, 30)


def json_printer(file: str, result: "Reading | Exception") -> None:
    """Prints one JSON object for each file to stdout."""
    record = {"file": file, "error": reason(result)} if isinstance(result, Exception) else _record(file, result)
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def terminal_printer() -> Printer:
    """Prints the lines of each file to stdout, and errors to stderr."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def show(file: str, result: "Reading | Exception") -> None:
        if isinstance(result, Exception):
            sys.stdout.flush()
            sys.stderr.write(f"digits: {file}: {reason(result)}\n")
            return
        model = f"by {result.model.name} {result.model.version} {result.model.variant}".rstrip()
        console.print(Text.assemble((file, "bold"), "  ", (model, "dim")), soft_wrap=True)
        width = max((len(line.text) for line in result.lines), default=0)
        for line in result.lines:
            drawn = Text.assemble("  ", (line.text.ljust(width), "bold green"), (f"  {line.score:6.1%}", "dim"))
            console.print(drawn, soft_wrap=True)
        if not result.lines:
            console.print("  no digits", soft_wrap=True)
        for warning in result.warnings:
            console.print(Text(f"  warning: {warning}", style="yellow"), soft_wrap=True)
        console.print()

    return show


def _record(file: str, reading: "Reading") -> dict[str, Any]:
    return {
        "file": file,
        "text": reading.text,
        "score": reading.score,
        "lines": [
            {
                "text": line.text,
                "score": line.score,
                "columns": line.columns,
                "digits": [_digit(digit) for digit in line.digits],
            }
            for line in reading.lines
        ],
        "width": reading.width,
        "height": reading.height,
        "quarter_turns": reading.quarter_turns,
        "warnings": reading.warnings,
        "warning_codes": reading.warning_codes,
        "model": {
            "name": reading.model.name,
            "version": reading.model.version,
            "sha256": reading.model.sha256,
            "variant": reading.model.variant,
        },
    }


def _digit(digit: "ReadDigit") -> dict[str, Any]:
    found = digit.prediction
    return {
        "box": asdict(digit.box),
        "field": None if digit.field is None else asdict(digit.field),
        "digit": found.digit,
        "scores": found.scores.tolist(),
        "margin": found.margin,
        "candidates": found.candidates,
        "not_a_digit": found.not_a_digit,
        "rejected": found.rejected,
    }


def draw_boxes(path: Path, data: bytes, reading: "Reading") -> None:
    """Write the picture of `data` as it was read, at most 1,024 pixels a side, with boxes. Raises `OSError`."""
    from PIL import Image, ImageDraw

    from imaging.decode import read_picture

    grey = np.rot90(read_picture(data, max_image_pixels=reading.width * reading.height), -reading.quarter_turns)
    picture = Image.fromarray(np.rint(grey * 255).astype(np.uint8)).convert("RGB")
    factor = picture.width / reading.width
    pen = ImageDraw.Draw(picture)
    for digit in reading.digits:
        box, found = digit.box, digit.prediction
        colour = _REJECTED if found.rejected else _BOX
        left, top = box.left * factor, box.top * factor
        pen.rectangle((left, top, left + box.width * factor, top + box.height * factor), outline=colour)
        pen.text((left + 2, top), "?" if found.rejected else str(found.digit), fill=colour)
    picture.save(path, "PNG")
