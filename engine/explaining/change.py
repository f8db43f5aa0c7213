"""A small change of an image that makes it another class.

Pixel by pixel, the one whose change to black or white gains most by the gradient is changed, until the class has the
best score. Changes that prove needless are taken back, and those that are left are made as small as the class
allows. The result is not proved to be the smallest.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.explaining.network import Network

_MOST_PIXELS = 150


def find_change(
    networks: Sequence[Network],
    pixels: NDArray[np.uint8],
    positions: Sequence[int],
    pixel_max: int,
    stop: Callable[[], bool] = lambda: False,
    *,
    lead: float = 1e-3,
) -> NDArray[np.uint8] | None:
    """`pixels` [rows*cols] changed so that the class at one of `positions` has the best score, tried in their order.

    None if 150 changed pixels do not suffice for any of them. `stop` is asked between steps; where it says so, the
    result is None too. The score is best by `lead`, so that a server, which rounds otherwise, finds the same.
    """
    search = _Search(networks, pixel_max, stop, lead)
    for position in positions:
        changed = search.change(pixels.astype(np.float32), position)
        if changed is not None:
            return changed.astype(np.uint8)
    return None


class _Search:
    def __init__(self, networks: Sequence[Network], pixel_max: int, stop: Callable[[], bool], lead: float) -> None:
        self._lead = lead
        self._networks = networks
        self._pixel_max = pixel_max
        self._stop = stop

    def change(self, pixels: NDArray[np.float32], position: int) -> NDArray[np.float32] | None:
        changed = pixels.copy()
        free = np.ones(len(pixels), bool)
        order: list[int] = []
        while not self._is(changed, position):
            if len(order) == min(_MOST_PIXELS, len(pixels)) or self._stop():
                return None
            gradient = self._gradient(changed, position)
            gains = np.where(gradient > 0, gradient * (self._pixel_max - changed), -gradient * changed)
            gains[~free] = -1.0
            best = int(gains.argmax())
            if gains[best] <= 0:
                return None
            changed[best] = self._pixel_max if gradient[best] > 0 else 0
            free[best] = False
            order.append(best)
        for pixel in order:  # those that prove needless
            kept, changed[pixel] = changed[pixel], pixels[pixel]
            if self._stop():
                return None
            if not self._is(changed, position):
                changed[pixel] = kept
        for pixel in np.flatnonzero(changed != pixels).tolist():
            kept, changed[pixel] = changed[pixel], pixels[pixel]
            if self._stop():
                return None
            if not self._is(changed, position):
                changed[pixel] = self._least(changed, pixel, kept, position)
        return changed

    def _least(self, changed: NDArray[np.float32], pixel: int, enough: float, position: int) -> float:
        """The value nearest to the one that `pixel` has, with which the class is reached; `enough` reaches it."""
        short = changed[pixel]
        tried = changed.copy()
        while abs(enough - short) > 1:
            tried[pixel] = np.rint((enough + short) / 2)
            if self._is(tried, position):
                enough = tried[pixel]
            else:
                short = tried[pixel]
        return float(enough)

    def _is(self, pixels: NDArray[np.float32], position: int) -> bool:
        scores = np.mean([_scores(each.layers(pixels, np.float32)[-1]) for each in self._networks], axis=0)
        return bool(scores[position] >= np.delete(scores, position).max() + self._lead)

    def _gradient(self, pixels: NDArray[np.float32], position: int) -> NDArray[np.float32]:
        """Of the logarithm of the class's score over that of the best other one."""
        passes = [each.layers(pixels, np.float32) for each in self._networks]
        each_scores = np.array([_scores(layers[-1]) for layers in passes])
        scores = each_scores.mean(axis=0)
        others = scores.copy()
        others[position] = -1.0
        other = int(others.argmax())
        total = np.zeros_like(pixels)
        for network, layers, own in zip(self._networks, passes, each_scores, strict=True):
            outputs = np.zeros_like(own)
            for place, sign in ((position, 1.0), (other, -1.0)):
                share = own[place] / max(float(each_scores[:, place].sum()), 1e-30)
                outputs -= sign * share * own
                outputs[place] += sign * share
            weighted = outputs if layers[-1].size > 1 else outputs[1:]
            total += network.gradients(layers, weighted.astype(np.float32))[0]
        return total


def _scores(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """The scores of all classes; of one output neuron, those of both."""
    values = logits.astype(np.float64)
    if values.size == 1:
        values = np.array([0.0, values[0]])
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())
