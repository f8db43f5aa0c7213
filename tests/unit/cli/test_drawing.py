"""Pictures and bars in the terminal."""

import numpy as np
import pytest
from rich.text import Text

from cli.drawing.terminal import draw_bars, draw_beside, draw_layer, draw_picture


@pytest.mark.parametrize("coloured", [True, False])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((28, 28), (14, 28)),
        ((8, 8), (12, 24)),
        ((1, 1), (14, 28)),
        ((12, 9), (12, 18)),
        ((200, 100), (13, 13)),
        ((3, 200), (1, 25)),
    ],
)
def test_pictures_of_any_shape_fit(shape: tuple[int, int], size: tuple[int, int], coloured: bool):
    """Small images are enlarged, large ones reduced; two pixels share a character's height."""
    lines = draw_picture(np.zeros(shape, np.float32), 255, coloured=coloured)
    assert (len(lines), lines[0].cell_len) == size
    assert len({line.cell_len for line in lines}) == 1


def test_half_blocks_without_colour():
    """A pixel that is on fills its half of the character."""
    image = np.zeros((28, 28), np.float32)
    image[:2, 0] = image[0, 1] = image[1, 2] = 255
    assert draw_picture(image, 255, coloured=False)[0].plain.rstrip() == "█▀▄"


def test_shades_with_colour():
    """Each half of a character has the grey of its pixel."""
    image = np.zeros((28, 28), np.float32)
    image[0, 0] = 16
    first = draw_picture(image, 16, coloured=True)[0].spans[0].style
    assert tuple(first.color.triplet) == (255, 255, 255)
    assert tuple(first.bgcolor.triplet) == (24, 24, 24)


def test_bars_are_as_long_as_the_scores():
    """A score of one fills the width, a half half of it, and each ends in percent; the best is bold."""
    lines = draw_bars(np.array([0.5, 1.0, 0.0], np.float32), ["0", "1", "ten"], width=10)
    assert [line.plain for line in lines] == [
        "  0 █████       50.0%",
        "  1 ██████████ 100.0%",
        "ten              0.0%",
    ]
    assert "bold" in str(lines[1].style)


def test_of_many_classes_the_best_are_drawn():
    """Of twenty classes twelve are drawn, by score."""
    scores = np.linspace(0, 0.1, 20, dtype=np.float32)
    lines = draw_bars(scores, [f"c{i}" for i in range(20)], width=10)
    assert len(lines) == 12
    assert lines[0].plain.split()[0] == "c19"


def test_layers_of_any_width_fit():
    """A layer of more neurons than there is room for says how many are left out; equal values are no error."""
    line = draw_layer("hidden_1", np.arange(1000, dtype=np.float32), width=80)
    assert line.cell_len <= 80
    assert line.plain.endswith("more")
    assert draw_layer("hidden_1", np.ones(4, np.float32), width=80).plain == "hidden_1      1..1"


def test_blocks_of_lines_stand_side_by_side():
    """The shorter block is in the middle, and no line ends in blanks."""
    drawn = draw_beside([Text("aa")] * 3, [Text("b")])
    assert drawn.plain == "  aa\n  aa   b\n  aa\n"
