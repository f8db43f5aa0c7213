"""The pictures of explanation/reading.md: two sheets, with the boxes that Read draws around their digits."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from cli.drawing.reading import draw_boxes
from cli.in_process import LocalDigits
from docs.generate.pictures.drawn import Floats, grainy, on_paper, placed, ruled, shaded, strokes

MODEL = Path(__file__).resolve().parents[3] / "models" / "mnist-256x128"
NUMBERS = ("40812", "7359", "2640")
GRID = ("71.4", ".382", "5.09")


def numbers() -> Floats:
    """Three numbers on ruled paper under uneven light: float32 [360, 560]."""
    ink = np.zeros((360, 560), np.float32)
    for row, number in enumerate(NUMBERS):
        for col, digit in enumerate(number):
            lower = 6 * ((3 * row + 5 * col) % 4)
            drawn = strokes(int(digit), 3 + row + col, 110, 0.07)
            ink = np.maximum(ink, placed(drawn, 360, 560, 5 + 112 * row + lower, 10 + 88 * col))
    return grainy(shaded(ruled(on_paper(ink), 56, shade=0.6)), 0.01)


def grid() -> Floats:
    """The fields of a form, some of them empty: float32 [330, 430]."""
    ink = np.zeros((330, 430), np.float32)
    for row, fields in enumerate(GRID):
        for col, digit in enumerate(fields):
            if digit != ".":
                drawn = strokes(int(digit), 6 + 2 * row + col, 84, 0.07)
                ink = np.maximum(ink, placed(drawn, 330, 430, 18 + 98 * row, 18 + 98 * col))
    rows, cols = np.mgrid[:330, :430]
    inside = (rows >= 14) & (rows <= 310) & (cols >= 14) & (cols <= 408)
    lines = inside & (((rows - 14) % 98 < 2) | ((cols - 14) % 98 < 2))
    return grainy(np.where(lines, np.float32(0.3), on_paper(ink)), 0.01)


def file_of(grey: Floats) -> bytes:
    """A PNG of the picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(grey * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _only(models: Path) -> Path:
    """A models folder with the default model alone, which is loaded sooner than all."""
    (models / MODEL.name).symlink_to(MODEL)
    return models


def write(folder: Path) -> dict[str, str]:
    """Write numbers.webp and grid.webp into `folder`; returns the text that was read from each."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {}
    with TemporaryDirectory() as models, LocalDigits(_only(Path(models)), model="", version="") as local:
        for name, picture in (("numbers", numbers()), ("grid", grid())):
            data = file_of(picture)
            reading = local.read(data)
            texts[name] = reading.text
            boxes = folder / f"{name}.png"
            draw_boxes(boxes, data, reading)
            with Image.open(boxes) as drawn:
                drawn.save(folder / f"{name}.webp", "WEBP", quality=70, method=6)
            boxes.unlink()
    return texts
