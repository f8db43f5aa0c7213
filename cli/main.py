"""The console script `digits`.

The file of a command is imported when the command is called: `digits --help` does not wait for onnxruntime, and
`digits health` runs without scikit-learn.
"""

import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import FrameType
from typing import Any

from cli.extras import Needs

# Errors of an output that has no room.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Name of each command, its line in `digits --help`, and the extras it needs.
COMMANDS = {
    "serve": ("Serve models over gRPC until SIGTERM or Ctrl-C.", "serve,cpu"),
    "score": ("Score many images in files; a table out.", "score,cpu"),
    "classify": ("Classify image files and draw what the network saw.", "serve"),
    "read": ("Read the digits of pictures that have several.", "serve"),
    "models": ("List what a server has.", "serve"),
    "health": ("Ask a server whether it serves; the exit code tells.", "serve"),
    "train": ("Train a recipe, export it and write its report.", "train,cpu"),
    "learn": ("Let the lesson's network learn before your eyes.", "serve"),
    "quantize": ("Make a faster variant of a version, int8 or fp16.", "train,cpu"),
    "export": ("Export a fitted MLPClassifier to ONNX.", "train,cpu"),
}

# Commands that write folders. SIGTERM removes what is half written.
_TIDY = ("train", "export", "quantize")


def build(arguments: list[str]) -> Any:
    """The Typer app for these arguments: the called command, and a placeholder for each other one."""
    import typer

    app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    @app.callback()
    def digits(
        show_version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
    ) -> None:
        """Handwritten digits in, class scores out."""
        if show_version:
            typer.echo(f"digits {version('digits')}")
            raise typer.Exit

    digits_callback = app.registered_callback
    assert digits_callback is not None
    digits_callback.invoke_without_command = True
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, (line, _) in COMMANDS.items():
        app.command(name, short_help=line)(_command(name) if name == called else _placeholder(name))
    return app


def _command(name: str) -> Callable[..., None]:
    """The function of a command; imports its file."""
    module = importlib.import_module(f"cli.commands.{name}")
    if name == "serve":
        serve: Callable[..., None] = module.serve_command()
        return serve
    function: Callable[..., None] = getattr(module, name)
    return function


def _placeholder(name: str) -> Callable[..., None]:
    """A command that is not called, for the list in `digits --help`."""

    def command() -> None:
        raise AssertionError(f"{name} was not loaded")

    return command


def _stop_early(number: int, frame: FrameType | None) -> None:
    """End before anything was started: the imports take a part of a second. Then the server has handlers of its own."""
    os._exit(0)


def _exit(number: int, frame: FrameType | None) -> None:
    """End as after an error, which removes what is half written."""
    sys.exit(128 + number)


def main() -> None:
    """Run the command line on `sys.argv`; exits with code 2 for wrong usage."""
    arguments = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # characters that the terminal cannot encode become `?`
            stream.reconfigure(errors="replace")
    called = next((argument for argument in arguments if not argument.startswith("-")), "")
    if called == "serve":
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _stop_early)
    else:  # gRPC would log its traces before the one sentence of a failed command
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if called in _TIDY and signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _exit)
    try:
        with Needs(COMMANDS.get(called, ("", "serve"))[1]):
            build(arguments)(arguments, prog_name="digits")
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        # What was not written would be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"digits: the output cannot be written: {error.strerror}\n")
        sys.exit(1)
