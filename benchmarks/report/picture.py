"""The results of `make bench` as one picture: saturation, latency, batches."""

import statistics
from pathlib import Path
from typing import Any

from benchmarks.load.series import Key
from benchmarks.transport import BATCHES, CLASSIFY, ECHO, SHARED_MEMORY, SINGLE_SHAPES, TransportOutcome, median_of

COLOURS = ("#2a78b5", "#d1603d", "#4f9d4a")
INK, FAINT = "#333333", "#999999"


def draw(outcomes: list[TransportOutcome], path: Path) -> None:
    """Write a PNG with one colour for each front."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    style = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "axes.edgecolor": FAINT}
    with pyplot.rc_context(style):
        figure, (rates, latency, batches) = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
        for outcome, colour in zip(outcomes, COLOURS, strict=False):
            _rates(rates, outcome, colour)
            _latency(latency, outcome, colour)
            _batches(batches, outcome, colour)
        floor = [statistics.median(outcomes[0].floors[rows]) for rows in BATCHES]
        batches.plot(range(len(BATCHES)), floor, color=INK, linestyle=":", label="onnxruntime alone")
        shapes = [str(shape) for shape in SINGLE_SHAPES]
        rates.set(title="calls/s, one image a call", xlabel="connections × calls in flight", ylim=(0, None))
        rates.set_xticks(range(len(shapes)), shapes)
        latency.set(
            title="latency at fixed rates, from when a call was due, µs", xlabel="calls/s", xscale="log", yscale="log"
        )
        batches.set(title="images/s", xlabel="images a call", yscale="log")
        batches.set_xticks(range(len(BATCHES)), [str(rows) for rows in BATCHES])
        for axes in (rates, latency, batches):
            axes.grid(axis="y", color="#e6e6e6")
            axes.set_axisbelow(True)
            axes.legend(frameon=False, fontsize=8)
        figure.savefig(path, dpi=120, metadata={"Software": None})
        pyplot.close(figure)


def _rates(axes: Any, outcome: TransportOutcome, colour: str) -> None:
    series = outcome.single
    for name, line in ((CLASSIFY, "-"), (ECHO, "--")):
        keys = [Key(name, 1, shape) for shape in SINGLE_SHAPES]
        points = [(at, series.median(key)) for at, key in enumerate(keys) if key in series.loads]
        axes.plot(*zip(*points, strict=True), line, marker="o", color=colour, label=f"{outcome.front}: {name}")


def _latency(axes: Any, outcome: TransportOutcome, colour: str) -> None:
    for figure, line in (("p50_us", "-"), ("p99_us", "--"), ("p999_us", ":")):
        points = [
            (fraction * outcome.saturated(), median_of(by_name[CLASSIFY], figure))
            for fraction, by_name in outcome.paced.items()
            if CLASSIFY in by_name
        ]
        if points:
            label = {"p50_us": "p50", "p99_us": "p99", "p999_us": "p99.9"}[figure]
            axes.plot(*zip(*points, strict=True), line, marker="o", color=colour, label=f"{outcome.front}: {label}")


def _batches(axes: Any, outcome: TransportOutcome, colour: str) -> None:
    series = outcome.batches
    ways = ((CLASSIFY, "-", "o"), ("ModelInfer uint8", "-.", "s"), (SHARED_MEMORY, "--", "^"), (ECHO, ":", "x"))
    for way, line, marker in ways:
        best = [(at, rows, series.best(way, rows)) for at, rows in enumerate(BATCHES)]
        points = [(at, series.median(key) * rows) for at, rows, key in best if key]
        if points:
            label = f"{outcome.front}: {way}"
            axes.plot(*zip(*points, strict=True), line, marker=marker, markersize=4, color=colour, label=label)
