"""Pictures that the tests of the preparation draw: dark ink on paper, float32 [height, width], 0 black to 1 white."""

import numpy as np
from PIL import Image, ImageDraw

SIDE = 200


def seven(*, side: int = SIDE, width: int = 12, scale: float = 1.0) -> np.ndarray:
    """A 7 in the middle of white paper, `scale` of its usual size."""
    image = Image.new("L", (side, side), 255)
    corners = [(-0.2, -0.3), (0.2, -0.3), (-0.05, 0.3)]
    points = [(side / 2 + scale * side * across, side / 2 + scale * side * down) for across, down in corners]
    ImageDraw.Draw(image).line(points, fill=0, width=width, joint="curve")
    return np.asarray(image, np.float32) / 255


def ruled(grey: np.ndarray, *, step: int, lean: float = 0.0, thick: int = 3, tone: float = 0.3) -> np.ndarray:
    """The same on paper with lines across, one each `step` rows."""
    rows, cols = np.indices(grey.shape)
    lines = (rows - np.rint(lean * cols).astype(int)) % step < thick
    return np.where(lines, np.minimum(grey, np.float32(tone)), grey).astype(np.float32)


def grain(shape: tuple[int, int], strength: float, seed: int = 0) -> np.ndarray:
    """Grey paper with noise."""
    return (0.8 + np.random.default_rng(seed).normal(0, strength, shape)).clip(0, 1).astype(np.float32)
