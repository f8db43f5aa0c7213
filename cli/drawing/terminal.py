"""A digit in the terminal: the model's pixels beside its scores."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

Floats = NDArray[np.float32]

# Width of a picture in characters, at most; a character shows two pixels, one above the other.
_PICTURE_WIDTH = 28
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = " ▁▂▃▄▅▆▇█"
_SHADES = " ░▒▓█"
_BEST = "bold green"
# Of more classes only the best are drawn.
_MAX_CLASSES = 12


def draw_picture(pixels: Floats, pixel_max: int, *, coloured: bool) -> list[Text]:
    """The image [rows, cols], 0 dark to `pixel_max` bright, as lines of half blocks in shades of grey.

    Without colour each half block is on or off, and faint pixels become a dot pattern.
    """
    rows, cols = pixels.shape
    pixels = pixels / np.float32(pixel_max)
    if cols > 2 * _PICTURE_WIDTH or rows > 2 * _PICTURE_WIDTH:
        step = -(-max(rows, cols) // _PICTURE_WIDTH)
        padded = np.pad(pixels, [(0, -rows % step), (0, -cols % step)])
        pixels = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).mean(axis=(1, 3))
    else:
        times = max(1, _PICTURE_WIDTH // max(rows, cols))
        pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    if len(pixels) % 2:
        pixels = np.pad(pixels, [(0, 1), (0, 0)])
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        line = Text()
        for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
            if coloured:
                line.append("▀", Style(color=_grey(top), bgcolor=_grey(bottom)))
            else:
                line.append(_half(top, bottom))
        lines.append(line)
    return lines


def _grey(value: float) -> Color:
    """The grey of a value 0..1; 0 is not quite black, so that a picture is visible on a dark terminal."""
    level = round(24 + 231 * min(max(value, 0.0), 1.0))
    return Color.from_rgb(level, level, level)


def _half(top: float, bottom: float) -> str:
    if (top >= 0.5) == (bottom >= 0.5):
        mean = (top + bottom) / 2
        return _SHADES[min(4, round(mean * 4))]
    return "▀" if top >= 0.5 else "▄"


def draw_bars(scores: Floats, classes: Sequence[str], *, width: int) -> list[Text]:
    """One line for each class: its name, and its score as a bar of up to `width` characters and in percent.

    The best class is highlighted. Of more than twelve classes the best twelve are drawn, by score.
    """
    order = list(range(len(scores)))
    best = int(np.argmax(scores))
    if len(order) > _MAX_CLASSES:
        order = np.argsort(-scores, kind="stable")[:_MAX_CLASSES].tolist()
    margin = max(cell_len(classes[each]) for each in order)
    lines = []
    for each in order:
        score, style = float(scores[each]), _BEST if each == best else "dim"
        line = Text(
            " " * (margin - cell_len(classes[each])) + classes[each] + " ", style="bold" if each == best else ""
        )
        line.append(_bar(score, width), "green" if each == best else "bright_black")
        line.append(f" {score:6.1%}", style)
        lines.append(line)
    return lines


def _bar(score: float, width: int) -> str:
    eighths = round(score * width * 8)
    bar = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return bar.ljust(width)


def draw_layer(name: str, values: Floats, *, width: int) -> Text:
    """A layer as one line: each neuron is a bar between the minimum and the maximum of the layer."""
    low, high = float(values.min()), float(values.max())
    shown = values[: max(width - len(name) - 32, 8)]
    heights = np.rint((shown - low) / (high - low or 1) * 8).astype(int)
    line = Text.assemble((f"{name} ", "dim"))
    line.append("".join(_LEVELS[height] for height in heights), "cyan")
    rest = len(values) - len(shown)
    return line.append(f" {low:.2g}..{high:.2g}" + (f" and {rest} more" if rest else ""), "dim")


def draw_beside(left: list[Text], right: list[Text]) -> Text:
    """Two blocks of lines side by side, the shorter one centred vertically."""
    height, wide = max(len(left), len(right)), max(line.cell_len for line in left)
    lead = (height - len(left)) // 2, (height - len(right)) // 2
    drawn = Text()
    for row in range(height):
        picture = left[row - lead[0]] if lead[0] <= row < lead[0] + len(left) else Text()
        bars = right[row - lead[1]] if lead[1] <= row < lead[1] + len(right) else Text()
        line = Text("  ") + picture + Text(" " * (wide - picture.cell_len + 3)) + bars
        line.rstrip()
        drawn.append_text(line).append("\n")
    return drawn


def is_coloured(console: Console) -> bool:
    """Whether the terminal has enough shades of grey for a picture."""
    return console.color_system in ("256", "truecolor", "windows") and not console.no_color
