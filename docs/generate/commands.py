"""The page of the command line, from the Typer app of `cli`."""

from typing import Any

import typer

from cli.main import COMMANDS, build
from docs.generate.markdown import code, head, table, text


def page() -> str:
    """A section for each command, with its arguments and options."""
    parts = [
        head("The command line", "`cli/`"),
        "`digits COMMAND --help` prints the same. `digits --version` prints the version.\n",
    ]
    for name in COMMANDS:
        command: Any = typer.main.get_command(build([name])).commands[name]  # type: ignore[attr-defined]
        parts.append(_section(name, command))
    return "\n".join(parts)


def _section(name: str, command: Any) -> str:
    context = command.make_context(name, ["--help"], resilient_parsing=True)
    records = [(each, each.get_help_record(context)) for each in command.params]
    arguments = [record[0].split(" ")[0] for each, record in records if record and each.param_type_name == "argument"]
    rows = [(code(record[0].split(" <list")[0]), text(record[1])) for _, record in records if record]
    paragraphs = [text(part) for part in (command.help or "").split("\n\n")]
    usage = " ".join(["digits", name, *arguments, "[OPTIONS]"])
    lines = [f"## {name}\n", f"```text\n{usage}\n```\n", "\n\n".join(paragraphs) + "\n"]
    if name == "serve":
        return "\n".join([*lines, "Its options are the [settings](settings.md).\n"])
    return "\n".join([*lines, table(("option", "meaning"), rows)])
