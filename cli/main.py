"""The console script `digits`."""

import typer

from cli.serve import serve_command

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("serve")(serve_command())


@app.callback()
def digits() -> None:
    """Handwritten digits in, class scores out."""


def main() -> None:
    """Run the command line."""
    app()
