"""The pictures of a report, as Matplotlib figures; to be drawn in `STYLE`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from training.data.dataset import Part
from training.evaluate.calibration import Calibration
from training.evaluate.detector import Curve

_INK = "#1b2a41"
_ACCENT = "#c8553d"
_SECOND = "#3d7ea6"
_MISTAKES = 24
_NEURONS = 64
_NAMED_CLASSES = 40
"""Of more classes there is no room for names and numbers."""
_LOSS_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def draw_confusion(card: Card) -> Any:
    """Counts by true and predicted class; colour for the mistakes alone, or they would not show."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    counts = np.array(card.confusion)
    wrong = counts - np.diag(np.diag(counts))
    size = len(counts)
    named = size <= _NAMED_CLASSES
    edge = max(3.2, 0.52 * min(size, _NAMED_CLASSES) + 0.9)
    figure = Figure(figsize=(edge, edge))
    axes = figure.subplots()
    colours = LinearSegmentedColormap.from_list("mistakes", ["#ffffff", "#f2c9b8", _ACCENT])
    axes.imshow(np.sqrt(wrong), cmap=colours)
    for row in range(size if named else 0):
        axes.add_patch(Rectangle((row - 0.5, row - 0.5), 1, 1, color="#dbe6ee", zorder=1))
        for col in range(size):
            if counts[row, col]:
                strong = row != col and wrong[row, col] > 0.5 * wrong.max()
                axes.text(
                    col,
                    row,
                    f"{counts[row, col]}",
                    ha="center",
                    va="center",
                    color="white" if strong else _INK,
                    weight="bold" if row == col else "normal",
                    fontsize=8,
                )
    axes.set_xticks(range(size) if named else [], card.classes if named else [])
    axes.set_yticks(range(size) if named else [], card.classes if named else [])
    axes.set_xlabel("what the network said")
    axes.set_ylabel("what it was")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{card.accuracy:.2%} of {card.test_rows:,} test images right")
    return figure


def draw_loss(losses: Mapping[str, Sequence[float]]) -> Any:
    """Each curve by its name, epoch by epoch; the losses on a logarithmic scale."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, NullLocator

    figure = Figure(figsize=(6.4, 3.4))
    axes = figure.subplots()
    for (name, values), colour in zip(losses.items(), (_SECOND, _ACCENT, _INK), strict=False):
        axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.3, label=name)
    axes.set_yscale("log")
    lowest = min(min(values) for values in losses.values())
    highest = max(max(values) for values in losses.values())
    ticks = [tick for tick in _LOSS_TICKS if lowest * 0.8 <= tick <= highest * 1.2]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(lowest * 0.85, highest * 1.1)
    axes.set_xlim(1, max(2, *map(len, losses.values())))
    axes.grid(axis="y", color="#e3e7ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (cross-entropy)")
    axes.set_title("Loss")
    axes.legend(frameon=False)
    return figure


def draw_mistakes(card: Card, test: Part, scores: NDArray[Any]) -> Any:
    """The test images whose true class got the least score, each with the scores of all classes."""
    from matplotlib.figure import Figure

    predicted = scores.argmax(axis=1)
    given = scores[np.arange(len(scores)), test.labels]
    wrong = np.flatnonzero(predicted != test.labels)
    worst = wrong[np.argsort(given[wrong], kind="stable")][:_MISTAKES]
    across = max(3, min(6, len(worst)))
    down = max(1, -(-len(worst) // across))
    figure = Figure(figsize=(1.42 * across, 2.1 * down + 0.35), layout="constrained")
    grid = figure.subplots(2 * down, across, height_ratios=[2.4, 1] * down, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for position, row in enumerate(worst):
        picture = grid[2 * (position // across), position % across]
        bars = grid[2 * (position // across) + 1, position % across]
        picture.imshow(test.pixels[row].reshape(card.rows, card.cols), cmap="gray_r", vmin=0, vmax=card.pixel_max)
        truth, said = int(test.labels[row]), int(predicted[row])
        picture.set_title(f"{card.classes[truth]}, taken for {card.classes[said]}", fontsize=8.5, pad=3, color=_INK)
        colours = ["#cfd6de"] * len(card.classes)
        colours[said], colours[truth] = _ACCENT, _SECOND
        bars.set_axis_on()
        bars.bar(range(len(card.classes)), scores[row], color=colours, width=0.8)
        bars.set_ylim(0, 1)
        bars.set_yticks([])
        if len(card.classes) <= _NAMED_CLASSES:
            bars.set_xticks(range(len(card.classes)), card.classes, fontsize=6.5)
        else:
            bars.set_xticks([])
        bars.tick_params(length=0, pad=1.5)
        bars.spines["left"].set_visible(False)
        bars.text(said, scores[row, said] + 0.04, f"{scores[row, said]:.2f}", ha="center", fontsize=6.5)
    shown = f"The worst {len(worst)} of {len(wrong)} mistakes" if len(worst) < len(wrong) else "All mistakes"
    figure.suptitle(f"{shown} on the test set, with the scores", fontsize=11)
    return figure


def draw_weights(card: Card, weights: NDArray[Any]) -> Any:
    """One picture for each neuron of the first layer: where ink excites it and where it inhibits it."""
    from matplotlib.figure import Figure

    neurons = min(weights.shape[1], _NEURONS)
    across = min(8, neurons)
    down = -(-neurons // across)
    figure = Figure(figsize=(1.15 * across, 1.17 * down + 0.4), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    # Pixels at the rim are ink in hardly any image, and what little was learned there must not set the scale.
    reach = float(np.quantile(np.abs(weights), 0.99)) or 1.0
    drawn: Any = None
    for neuron in range(neurons):
        axes = grid[neuron // across, neuron % across]
        drawn = axes.imshow(weights[:, neuron].reshape(card.rows, card.cols), cmap="RdBu_r", vmin=-reach, vmax=reach)
        axes.set_title(f"neuron {neuron + 1}", fontsize=7.5, pad=3)
    bar = figure.colorbar(drawn, ax=grid, location="right", shrink=0.75, aspect=24, pad=0.015)
    bar.outline.set_visible(False)
    bar.set_ticks([-reach, 0, reach], labels=["inhibits", "0", "excites"])
    looking = "each neuron" if neurons == weights.shape[1] else f"{neurons} of the {weights.shape[1]:,} neurons"
    verb = "looks" if neurons == weights.shape[1] else "look"
    figure.suptitle(f"What {looking} of the first hidden layer {verb} for", fontsize=11)
    return figure


def draw_reliability(card: Card, untempered: Calibration) -> Any:
    """Share right against best score, with and without the temperature, bin by bin."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.0))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#cfd6de", linewidth=1.2, zorder=1)
    for bins, colour, name in (
        (untempered.bins, _SECOND, f"at temperature 1: error {untempered.error:.2%}"),
        (card.reliability, _ACCENT, f"at temperature {card.temperature:g}: error {card.calibration_error:.2%}"),
    ):
        full = [each for each in bins if each.images]
        scores, shares = [each.mean_score for each in full], [each.accuracy for each in full]
        errors = [np.sqrt(each.accuracy * (1 - each.accuracy) / each.images) for each in full]
        axes.errorbar(scores, shares, errors, color=colour, linewidth=1, marker="o", markersize=4, label=name)
    for each in card.reliability:
        if each.images:
            axes.annotate(
                f"{each.images:,}",
                (each.mean_score, each.accuracy),
                xytext=(5, -10),
                textcoords="offset points",
                fontsize=6.5,
                color=_INK,
            )
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("best score, mean of the bin")
    axes.set_ylabel("share right")
    axes.set_title("Are scores chances?")
    axes.legend(frameon=False, loc="upper left")
    return figure


def draw_curves(curves: Mapping[str, Curve]) -> Any:
    """Images without a digit that are found, against digits taken for one, wherever the line is drawn."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.4))
    axes = figure.subplots()
    colours = (_INK, _SECOND, _ACCENT, "#7a9e4f", "#9b8bb4", "#c9a227", "#5b5b5b")
    for (name, curve), colour in zip(curves.items(), colours, strict=False):
        axes.plot(
            np.maximum(curve.false_alarms, 1e-4),
            curve.found,
            color=colour,
            linewidth=1.2,
            label=f"{name}: area {curve.area:.4f}",
        )
    axes.set_xscale("log")
    axes.set_xlim(1e-4, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("share of the digits that are taken for no digit")
    axes.set_ylabel("share of the others that are found")
    axes.set_title("Is it a digit at all?")
    axes.legend(frameon=False, loc="lower right")
    return figure
