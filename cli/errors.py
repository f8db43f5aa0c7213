"""The words for errors; a failed command ends with one message and an exit code, without a traceback."""

import sys
from typing import NoReturn

import typer


def reason(error: Exception) -> str:
    """The reason, without the name of the request's field, which means nothing to the user of a command."""
    violations = getattr(error, "violations", ())
    if violations:
        return str(violations[0][1])
    return str(error).removeprefix("encoded_images[0]: ").removeprefix("encoded_image: ")


def fail(message: str, code: int = 1) -> NoReturn:
    """Print `digits: message` to stderr and end the command; `code` is 2 for wrong usage."""
    sys.stderr.write(f"digits: {message}\n")
    raise typer.Exit(code)
