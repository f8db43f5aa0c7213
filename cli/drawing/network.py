"""A network with its activations for one digit, as a picture for papers and lessons: `digits classify --picture`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from digits_client import Classification
    from digits_client.answers.models import ModelCard, NetworkLayer

Floats = NDArray[np.float32]

_INK, _FAINT, _RING, _DARK = "#1b2233", "#5b6478", "#bcb6a8", "#efece4"
_EXCITES, _INHIBITS = "#d65a16", "#2a6fc4"
_LIGHTS = ("#efece4", "#fbc766", "#f59a0b")
# Layers with more neurons are drawn as heat maps.
_MAX_CIRCLES = 64
# Neurons in one column of a layer.
_COLUMN_NEURONS = 16
# Highlighted edges: from the image into each neuron, and between two layers.
_PIXEL_EDGES, _LAYER_EDGES = 7, 56
# Height of the picture, and the longer side of the image, in units of the axes.
_HEIGHT, _IMAGE = 6.0, 2.6
_NAMES = {"logistic": "sigmoid", "relu": "ReLU"}


def draw_network(
    path: Path, card: "ModelCard", layers: Sequence["NetworkLayer"], result: "Classification", *, title: str
) -> None:
    """Write a picture of the network of `card` with the activations of `result`.

    `layers` are those of the network; of an ensemble, those of the first member. The suffix of `path` is the format:
    png, pdf or svg. Raises `OSError` if it cannot be written, `ValueError` for an unknown format.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    assert result.activations is not None
    values = list(result.activations.values())[: len(card.layer_widths) - 1]
    with rc_context({"font.family": "DejaVu Sans", "text.color": _INK}):
        figure = Figure(figsize=(3.2 + 2.6 * len(layers), 6.4))
        axes: Any = figure.add_axes((0.01, 0.01, 0.98, 0.9))
        axes.set_axis_off()
        axes.set_aspect("equal")
        places = [_image_places(card.rows, card.cols)]
        for number, width in enumerate(card.layer_widths[1:], 1):
            last = number == len(layers)
            places.append(_places(_IMAGE + 2.2 * number, len(card.classes) if last else width))
        _image(axes, values[0].reshape(card.rows, card.cols), card.pixel_max)
        inputs = [(values[0] - card.pixel_offset) * card.pixel_scale, *values[1:]]
        for number, layer in enumerate(layers, 1):
            if _as_circles(layer.weights.shape[1]) and len(places[number]) == layer.weights.shape[1]:
                _edges(axes, inputs[number - 1], layer.weights, places[number - 1], places[number], first=number == 1)
        for number, activations in enumerate(values[1:], 1):
            bounded = card.activation in ("logistic", "tanh")
            _layer(axes, places[number], activations / (1 if bounded else max(float(np.abs(activations).max()), 1e-9)))
            label = f"{len(activations):,} neurons, {_NAMES.get(card.activation, card.activation)}"
            axes.text(places[number][:, 0].mean(), -0.35, label, ha="center", va="top", fontsize=8, color=_FAINT)
        _outputs(axes, places[-1], result, card)
        axes.set_xlim(-0.1, places[-1][0, 0] + 2.4)
        axes.set_ylim(-0.6, _HEIGHT + 0.1)
        figure.suptitle(title, fontsize=11, y=0.975)
        figure.savefig(path, dpi=150, metadata=None if path.suffix != ".png" else {"Software": None})


def _as_circles(neurons: int) -> bool:
    return neurons <= _MAX_CIRCLES


def _image_places(rows: int, cols: int) -> Floats:
    """The centre of each pixel, [rows*cols, 2]."""
    cell = _IMAGE / max(rows, cols)
    row, col = np.divmod(np.arange(rows * cols), cols)
    top = _HEIGHT / 2 + rows * cell / 2
    return np.column_stack([(col + 0.5) * cell, top - (row + 0.5) * cell]).astype(np.float32)


def _places(along: float, neurons: int) -> Floats:
    """The centre of each neuron of a layer around `along`, [neurons, 2]: columns of circles, or cells of a heat map."""
    if _as_circles(neurons):
        lines, each = -(-neurons // _COLUMN_NEURONS), min(neurons, _COLUMN_NEURONS)
        pitch = min(_HEIGHT / each, 0.56)
        line, seat = np.divmod(np.arange(neurons), each)
        return np.column_stack(
            [along + (line - (lines - 1) / 2) * min(pitch, 0.34), _HEIGHT / 2 - (seat - (each - 1) / 2) * pitch]
        ).astype(np.float32)
    cell = float(np.sqrt(1.1 * _HEIGHT * 0.9 / neurons))
    cols = int(1.1 / cell)
    row, col = np.divmod(np.arange(neurons), cols)
    rows = -(-neurons // cols)
    x, y = along + (col - (cols - 1) / 2) * cell, _HEIGHT / 2 - (row - (rows - 1) / 2) * cell
    return np.column_stack([x, y]).astype(np.float32)


def _image(axes: Any, pixels: Floats, pixel_max: int) -> None:
    rows, cols = pixels.shape
    cell = _IMAGE / max(rows, cols)
    low, high = _HEIGHT / 2 - rows * cell / 2, _HEIGHT / 2 + rows * cell / 2
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=pixel_max, extent=(0, cols * cell, low, high), zorder=1)
    axes.text(cols * cell / 2, low - 0.15, "what the network gets", ha="center", va="top", fontsize=8, color=_FAINT)


def _edges(axes: Any, inputs: Floats, weights: Floats, start: Floats, end: Floats, *, first: bool) -> None:
    """The edges between two layers that matter most for this digit; behind them, faintly, all edges if they are few."""
    shares = inputs[:, None] * weights
    if not first and _as_circles(len(start)) and weights.size <= 1200:
        strength = np.abs(weights) / np.abs(weights).max()
        source, target = np.nonzero(strength > 0.06)
        _curves(axes, start[source], end[target], weights[source, target], 0.05 + 0.18 * strength[source, target], 0.6)
    if first:
        source = np.argsort(-np.abs(shares), axis=0)[:_PIXEL_EDGES].T.ravel()
        target = np.repeat(np.arange(weights.shape[1]), len(source) // weights.shape[1])
    else:
        source, target = np.unravel_index(np.argsort(-np.abs(shares), axis=None)[:_LAYER_EDGES], shares.shape)
    strength = np.abs(shares[source, target])
    kept = strength > 0
    source, target, strength = source[kept], target[kept], strength[kept] / max(float(strength.max()), 1e-9)
    width = 0.5 + (0.8 if first else 2.2) * strength
    _curves(axes, start[source], end[target], weights[source, target], 0.1 + 0.75 * strength, width)


def _curves(axes: Any, start: Floats, end: Floats, weights: Floats, alpha: Floats, width: Any) -> None:
    """Curves from `start` [N, 2] to `end` [N, 2], coloured by the sign of their weights [N]."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba_array

    part = np.linspace(0, 1, 24, dtype=np.float32)
    ease = part * part * (3 - 2 * part)
    x = start[:, :1] + (end[:, :1] - start[:, :1]) * part
    y = start[:, 1:] + (end[:, 1:] - start[:, 1:]) * ease
    colours = np.where(weights[:, None] >= 0, to_rgba_array(_EXCITES), to_rgba_array(_INHIBITS))
    colours[:, 3] = alpha
    lines: Any = np.stack([x, y], axis=2)
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=width, zorder=2))


def _layer(axes: Any, places: Floats, lights: Floats) -> None:
    """Neurons [N, 2] coloured by `lights` [N], -1..1: circles, or adjacent squares if they are many."""
    from matplotlib.colors import LinearSegmentedColormap

    steps = zip((0, 0.5, 0.75, 1), (_INHIBITS, *_LIGHTS), strict=True)
    colours = LinearSegmentedColormap.from_list("light", list(steps))
    many = not _as_circles(len(places))
    pitch = float(abs(places[1, 0] - places[0, 0])) if many else 0.27
    size = (pitch * 66) ** 2  # in points²; a unit of the axes has about 66 points
    axes.scatter(
        *places.T, c=lights, cmap=colours, vmin=-1, vmax=1, s=size, marker="s" if many else "o",
        edgecolors="none" if many else _RING, linewidths=0.7, zorder=3,
    )  # fmt: skip


def _outputs(axes: Any, places: Floats, result: "Classification", card: "ModelCard") -> None:
    best = int(np.argmax(result.scores))
    _layer(axes, places, result.scores)
    for seat, ((x, y), score) in enumerate(zip(places.tolist(), result.scores.tolist(), strict=True)):
        colour = _EXCITES if seat == best else _FAINT
        weight = "bold" if seat == best else "normal"
        axes.text(x + 0.3, y, card.classes[seat], va="center", fontsize=11, color=colour, weight=weight)
        axes.barh(y, 1.0, left=x + 0.62, height=0.12, color=_DARK, zorder=2)
        axes.barh(y, score, left=x + 0.62, height=0.12, color=colour, zorder=3)
        axes.text(x + 1.7, y, f"{score:.1%}", va="center", fontsize=8, color=colour, weight=weight)
