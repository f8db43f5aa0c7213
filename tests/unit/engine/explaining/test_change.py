"""A change of pixels that makes an image another class."""

import numpy as np
import pytest

from artifact.card import Card
from artifact.store import VersionFolder
from engine.explaining.change import find_change
from engine.explaining.network import Network, read_networks
from tests.support.server import MODELS
from tests.unit.engine.explaining.test_contributions import IMAGES, random_network


def best(network: Network, pixels: np.ndarray) -> int:
    return int(network.layers(pixels)[-1].argmax())


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_the_class_is_reached_and_no_change_is_needless(activation: str):
    """Undoing any pixel would miss the class."""
    network = random_network(activation)
    found = 0
    for pixels in IMAGES:
        for position in {0, 1, 2, 3, 4} - {best(network, pixels)}:
            changed = find_change([network], pixels, [position], 255)
            if changed is None:
                continue
            found += 1
            assert changed.dtype == np.uint8
            assert best(network, changed) == position
            for place in np.flatnonzero(changed != pixels):
                less = changed.copy()
                less[place] = pixels[place]
                assert led_by(network, less, position) < 1e-3
    assert found > 20


def led_by(network: Network, pixels: np.ndarray, position: int) -> float:
    """By how much the class's score is above all others."""
    logits = network.layers(pixels)[-1]
    scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    return float(scores[position] - np.delete(scores, position).max())


def test_the_next_class_is_tried_where_one_cannot_be_reached():
    """A class whose logit no pixel moves."""
    network = random_network("relu")
    network.weights[2][:, 0] = 0
    network.biases[2][0] = -100
    pixels = IMAGES[1]
    other = next(position for position in (1, 2, 3, 4) if find_change([network], pixels, [position], 255) is not None)
    assert find_change([network], pixels, [0], 255) is None
    changed = find_change([network], pixels, [0, other], 255)
    assert changed is not None
    assert best(network, changed) == other


def test_pixels_keep_their_range():
    """A model of pixels up to 16 gets none above."""
    folder = VersionFolder(MODELS, "digits-8x8", 1)
    card = Card.from_json(folder.card.read_text())
    networks = read_networks(folder.read_onnx(), card)
    pixels = folder.read_golden().pixels[0]
    changed = find_change(networks, pixels, np.argsort(-networks[0].layers(pixels)[-1])[1:2].tolist(), 16)
    assert changed is not None
    assert changed.max() <= 16
    assert best(networks[0], changed) != best(networks[0], pixels)


def test_it_stops_when_it_is_told():
    """Between two steps; then there is no result."""
    asked = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    network = random_network("relu")
    network.biases[2][0] = -50
    assert find_change([network], IMAGES[0], [0], 255, stop) is None
    assert len(asked) == 3
