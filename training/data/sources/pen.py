"""Draws the points of a pen's way as a smooth curve."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 96
"""Pixels along each side of a drawing."""

_OVERSAMPLING = 3
_MARGIN = 0.2  # of the side, on each side
_STEPS = 12  # straight pieces between two points


def draw_curve(points: NDArray[np.float64], width: float, roundness: float = 1.0) -> NDArray[np.uint8]:
    """The curve through `points` [N, 2], across and down in 0..1, as uint8 [SIDE, SIDE], dark on light.

    `width` is that of the pen as a part of the points' square. A `roundness` of 0 gives straight lines, 1 a spline.
    """
    side = SIDE * _OVERSAMPLING
    inside = side * (1 - 2 * _MARGIN)
    canvas = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(canvas)
    places = [tuple(place) for place in side * _MARGIN + inside * smooth(points, roundness)]
    pen.line(places, fill=0, width=max(1, round(width * inside)), joint="curve")
    radius = width * inside / 2
    for across, down in (places[0], places[-1]):
        pen.ellipse([across - radius, down - radius, across + radius, down + radius], fill=0)
    return np.asarray(canvas.reduce(_OVERSAMPLING))


def smooth(points: NDArray[np.float64], roundness: float = 1.0) -> NDArray[np.float64]:
    """Points of a curve through `points` [N, 2], float64 [(N - 1) * steps + 1, 2].

    At a `roundness` of 1 it is the spline of E. Catmull, R. Rom, "A Class of Local Interpolating Splines", Computer
    Aided Geometric Design, 1974, at 0 it is straight between the points.
    """
    before, after = np.concatenate([points[:1], points[:-2]]), np.concatenate([points[2:], points[-1:]])
    here, there = points[:-1], points[1:]
    t = np.linspace(0, 1, _STEPS, endpoint=False)[:, None, None]
    straight = here + t * (there - here)
    spline = here + 0.5 * t * (
        there - before + t * (2 * before - 5 * here + 4 * there - after + t * (3 * (here - there) + after - before))
    )
    pieces = straight + roundness * (spline - straight)
    return np.concatenate([pieces.swapaxes(0, 1).reshape(-1, 2), points[-1:]])
