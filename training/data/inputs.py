"""Inputs of a network from raw pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def scale_pixels(
    pixels: NDArray[np.uint8], *, pixel_scale: float, pixel_offset: float, dtype: Any = np.float64
) -> NDArray[Any]:
    """Inputs of the classifier for `pixels`: `(pixels - pixel_offset) * pixel_scale`, same shape."""
    shifted: NDArray[Any] = np.subtract(pixels, pixel_offset, dtype=dtype)
    shifted *= dtype(pixel_scale)
    return shifted
