"""Markdown for generated pages."""

import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`[^`]*`)")


def head(title: str, source: str) -> str:
    """The beginning of a page: where its text comes from, and its title."""
    return f"<!-- Made from {source} by `make reference`. -->\n\n# {title}\n"


def text(plain: str) -> str:
    """A sentence of the code as Markdown, on one line: `code` stays, other characters with a meaning are escaped."""
    parts = _CODE.split(" ".join(plain.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([*<|\[\]])", r"\\\1", part) for part in parts)


def code(plain: str) -> str:
    """`plain` as code in a cell of a table; nothing where it is empty."""
    return f"`{plain}`".replace("|", "\\|") if plain else ""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
