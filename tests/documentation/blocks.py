"""The blocks of code in README and docs/, and how each is run.

The words behind a block's language say it:

- `server`: started, and left running until the page ends; `own` behind it: not shared with other pages
- `examples`: takes minutes or a tool chain; run by `make examples` alone
- `fresh`: run with an empty virtual environment
- `elsewhere`: run by another test, see `test_commands.ELSEWHERE`
- any other word: a program that the block needs
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ROOT

_FENCE = re.compile(r"^```(?P<info>\S[^\n]*)?\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = ("sh", "console", "python")


@dataclass
class Block:
    """One block of a page."""

    page: Path
    line: int
    language: str
    words: frozenset[str]
    code: str
    output: str = ""
    """What the block behind it says that this one prints."""

    @property
    def place(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def steps(self) -> Iterator[tuple[str, str]]:
        """Commands with the output that is expected of each; one with "" unless it is a console."""
        if self.language != "console":
            yield self.code, self.output
            return
        for step in re.split(r"^\$ ", self.code, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


def pages() -> list[Path]:
    """README and every page written by hand."""
    return [
        *(ROOT / name for name in ("README.md", "client/README.md", "examples/README.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that can be run, in order. A `text` block right behind one is its output."""
    text = page.read_text()
    found: list[Block] = []
    end = 0
    for match in _FENCE.finditer(text):
        language, *words = (match["info"] or "").split() or [""]
        line = text.count("\n", 0, match.start()) + 1
        if language in RUN:
            found.append(Block(page, line, language, frozenset(words), match["code"]))
        elif language == "text" and found and not text[end : match.start()].strip():
            found[-1].output = match["code"]
        end = match.end()
    return found


def matches(expected: str, printed: str) -> bool:
    """Whether `printed` is as `expected`, where … stands for any text of a line, or alone on a line for any lines."""
    pattern = ""
    for line in expected.strip().splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(map(re.escape, line.rstrip().split("…"))) + r"[ ]*\n"
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None
