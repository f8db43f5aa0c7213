"""The report of a job: its summary with pictures of margins, classes and confusions."""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scoring.reporting.summary import MARGIN_BINS, Summary

_BLUE = "#3b6ea5"


def write_report(summary: Summary, folder: Path) -> None:
    """Write `summary.json`, `report.md` and its pictures to `folder`. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "summary.json", json.dumps(summary.as_json(), indent=1, ensure_ascii=False))
    _draw_found(summary, folder / "digits.png")
    parts = [f"# {summary.output}", *summary.lines()[:1], "![Rows by digit, and by margin](digits.png)"]
    if flaws := summary.flaws():
        parts.append("\n".join(f"- {line}" for line in flaws))
    if summary.accuracy is not None:
        _draw_confusion(summary, folder / "confusion.png")
        parts += [f"Accuracy {summary.accuracy:.2%} of {summary.labelled:,} labelled rows.", "![](confusion.png)"]
    _write(folder / "report.md", "\n\n".join(parts))


def _write(path: Path, text: str) -> None:
    """Write as UTF-8, independent of the locale and of file names."""
    path.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")


def _draw_found(summary: Summary, path: Path) -> None:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.bar(summary.model.card.classes, summary.digits, color=_BLUE)
    left.set(title="rows by digit", xlabel="digit", ylabel="rows")
    edges = np.linspace(0, 1, MARGIN_BINS + 1)
    right.stairs(np.maximum(summary.margins, 0.5), edges, fill=True, color=_BLUE, baseline=0.5)
    right.set(title="rows by margin", xlabel="best score minus second best", ylabel="rows", yscale="log", xlim=(0, 1))
    figure.savefig(path, dpi=110)


def _draw_confusion(summary: Summary, path: Path) -> None:
    classes, confusion = summary.model.card.classes, summary.confusion
    assert confusion is not None
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    size = 1.5 + 0.5 * len(classes)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count}", ha="center", va="center", fontsize=7, color=colour)
    places = range(len(classes))
    axes.set(xticks=places, yticks=places, xticklabels=classes, yticklabels=classes)
    axes.set(xlabel="found", ylabel="true", title=f"{summary.accuracy:.2%} right")
    figure.savefig(path, dpi=110)
