"""Ends a failed command with one message and an exit code, without a traceback."""

import sys
from typing import NoReturn

import typer


def fail(message: str, code: int = 1) -> NoReturn:
    """Print `digits: message` to stderr and end the command; `code` is 2 for wrong usage."""
    sys.stderr.write(f"digits: {message}\n")
    raise typer.Exit(code)
