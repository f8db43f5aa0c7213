"""The parts of a logit: they sum up to it, and each is what the network owes to its pixel or neuron."""

from itertools import pairwise

import numpy as np
import pytest
from onnxruntime import InferenceSession

from artifact.card import CARD_KEY, Card
from artifact.names import INPUT, SCORES
from artifact.store import find_versions
from engine.explaining.contributions import explain
from engine.explaining.network import Network, read_networks
from tests.support.server import MODELS
from training.data.datasets import held_out_digits

ACTIVATIONS = ("relu", "identity", "logistic", "tanh")


def random_network(activation: str, outputs: int = 5) -> Network:
    """12-7-6-`outputs`, for pixels up to 255."""
    random = np.random.default_rng(3)
    widths = (12, 7, 6, outputs)
    sizes = list(pairwise(widths))
    scales = (1 / 255, 1.0, 1.0)
    return Network(
        tuple((scale * random.normal(size=size)).astype(np.float32) for scale, size in zip(scales, sizes, strict=True)),
        tuple(random.normal(size=size[1]).astype(np.float32) for size in sizes),
        activation,
    )


IMAGES = np.random.default_rng(4).integers(0, 256, (20, 12)).astype(np.uint8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_parts_of_each_layer_sum_up_to_the_logit(activation: str):
    """For every class, whatever the activation."""
    network = random_network(activation)
    for pixels in IMAGES:
        for position in range(5):
            found = explain(network, pixels, position)
            assert found.logit == pytest.approx(network.layers(pixels)[-1][position], rel=1e-12)
            assert [len(layer.values) for layer in found.layers] == [12, 7, 6]
            for layer in found.layers:
                assert layer.values.sum() + layer.rest == pytest.approx(found.logit, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_a_part_is_what_the_logit_loses_without_it_in_a_network_that_is_linear_there(activation: str):
    """A hundredth of a pixel or neuron is taken away: the logit falls by a hundredth of its part."""
    network = random_network(activation)
    for pixels in IMAGES:
        found = explain(network, pixels, 2)
        assert found.exact
        values = network.layers(pixels)
        for depth, layer in enumerate(found.layers):
            for place, part in enumerate(layer.values):
                less = values[depth].copy()
                less[place] *= 1 - 1e-7
                fallen = found.logit - network.from_layer(depth, less)[-1][2]
                assert fallen == pytest.approx(1e-7 * part, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_integrated_gradients_begin_with_a_blank_image(activation: str):
    """The rest is its logit; what an image does not have adds nothing; of a line of gradients it is the mean."""
    network = random_network(activation)
    blank = float(network.layers(np.zeros(12))[-1][1])
    pixels = IMAGES[0].copy()
    pixels[:3] = 0
    found = explain(network, pixels, 1)
    assert not found.exact
    assert [layer.rest for layer in found.layers] == [blank] * 3
    assert (found.layers[0].values[:3] == 0).all()
    steps = (np.arange(20_000) + 0.5)[:, None] / 20_000 * pixels
    outputs = np.tile(np.eye(5)[1], (len(steps), 1))
    mean = network.gradients(network.layers(steps), outputs)[0].mean(axis=0)
    np.testing.assert_allclose(found.layers[0].values, mean * pixels, rtol=1e-5, atol=1e-9)


def test_of_one_output_neuron_the_classes_are_opposites():
    """The logit of the second class is the neuron's value."""
    network = random_network("relu", outputs=1)
    first, second = (explain(network, IMAGES[0], position) for position in (0, 1))
    assert second.logit == pytest.approx(float(network.layers(IMAGES[0])[-1][0]))
    assert first.logit == -second.logit
    np.testing.assert_allclose(first.layers[0].values, -second.layers[0].values)


@pytest.mark.parametrize("folder", find_versions(MODELS), ids=lambda folder: f"{folder.name}:{folder.version}")
def test_committed_networks_are_those_that_serve(folder, mnist_test):
    """Scores from their arrays are those of onnxruntime, and the parts of a digit sum up to within 1e-5 of its logit.

    Deleting each of the strongest pixels moves the logit the way its part says, but for a few.
    """
    model = folder.read_onnx()
    session = InferenceSession(model, providers=["CPUExecutionProvider"])
    card = Card.from_json(session.get_modelmeta().custom_metadata_map[CARD_KEY])
    networks = read_networks(model, card)
    assert len(networks) == card.members
    pixels = (held_out_digits().pixels if card.dataset == "digits" else mnist_test[0])[: 30 if len(model) < 2e6 else 1]
    logits = np.stack([network.layers(pixels)[-1] for network in networks])
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores = (powers / powers.sum(axis=-1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(scores, session.run([SCORES], {INPUT: pixels})[0], atol=1e-5)
    agreeing = []
    for image, digit in zip(pixels, scores.argmax(axis=1).tolist(), strict=True):
        for network in networks:
            found = explain(network, image, digit)
            for layer in found.layers:
                size = max(1.0, abs(found.logit))
                assert layer.values.sum() + layer.rest == pytest.approx(found.logit, abs=1e-5 * size)
            parts = found.layers[0].values
            for place in np.argsort(-np.abs(parts))[: 10 if len(model) < 2e6 else 3]:
                less = image.copy()
                less[place] = 0
                fallen = found.logit - network.layers(less)[-1][digit]
                agreeing.append(fallen * parts[place] > 0)
    assert np.mean(agreeing) > 0.95
