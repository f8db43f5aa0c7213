"""How a command fails: one sentence, an exit code, no traceback."""

import sys
from typing import NoReturn

import typer


def fail(message: str, code: int = 1) -> NoReturn:
    """Print `digits: message` to stderr and end the command; `code` is 2 for wrong usage."""
    sys.stderr.write(f"digits: {message}\n")
    raise typer.Exit(code)
