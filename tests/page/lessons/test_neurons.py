"""Single neurons: what is said of them is what numpy computes of the served weights; changes stay in the page."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray
from playwright.sync_api import expect

from tests.page.page_driver import PATIENCE, Visit
from tests.support.processes import ROOT
from tests.support.server import Stub


@dataclass
class Network:
    """mnist-16x16 4 by its weights, ReLU: [inputs, neurons] and [neurons] of each layer."""

    weights: list[NDArray]
    biases: list[NDArray]
    off: dict[int, int] = field(default_factory=dict)
    """The neuron that is off, by layer from 1."""

    @classmethod
    def served(cls, stub: Stub) -> "Network":
        layers = [
            stub.get_network(pb.GetNetworkRequest(model="mnist-16x16", version="4", layer=layer), timeout=10).layers[0]
            for layer in (1, 2, 3)
        ]
        weights = [np.reshape(each.weights, (each.inputs, each.neurons)).astype(float) for each in layers]
        return cls(weights, [np.array(each.biases, float) for each in layers])

    def values(self, pixels: NDArray) -> list[NDArray]:
        """Activations of the hidden layers, and the logits, [N, neurons] each."""
        found = [(pixels - 33.0) / 255]
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True), start=1):
            sums = found[-1] @ weights + biases
            found.append(sums if layer == 3 else np.maximum(sums, 0))
            if layer in self.off:
                found[-1][:, self.off[layer]] = 0
        return found[1:]

    def right(self) -> int:
        """How many of the page's test digits it is right about."""
        pixels, classes = examples()
        return int((self.values(pixels)[-1].argmax(axis=1) == classes).sum())


def examples() -> tuple[NDArray, NDArray]:
    file = ROOT / "service" / "web" / "examples" / "mnist.gz"
    rows = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8).reshape(-1, 785)
    return rows[:, 1:], rows[:, 0]


@pytest.fixture
def neurons(visit: Visit) -> Iterator[Visit]:
    """The tab is whole."""
    visit.page.get_by_role("tab", name="Neurons").click()
    expect(visit.page.locator(".layers[data-whole]")).to_be_visible(timeout=2 * PATIENCE)
    return visit


def has_right(visit: Visit, right: int) -> None:
    expect(visit.page.locator("#view-neurons .count")).to_have_attribute("data-right", str(right))


def test_without_a_neuron_so_many_digits_are_lost(neurons: Visit, stub: Stub):
    """Each neuron's bar; and the accuracy when it is switched off by the keyboard."""
    network = Network.served(stub)
    right = network.right()
    has_right(neurons, right)
    for layer in (1, 2):
        items = neurons.page.locator(".layer").nth(layer - 1).locator("li")
        shown = [int(each) for each in items.evaluate_all("all => all.map(each => each.dataset.lost)")]
        lost = [right - Network(network.weights, network.biases, {layer: neuron}).right() for neuron in range(16)]
        assert shown == lost
        assert max(lost) > 50
    neurons.page.get_by_label("neuron 3 of hidden layer 2 is on").press("Space")
    neurons.page.get_by_label("neuron 12 of hidden layer 1 is on").press("Space")
    has_right(neurons, Network(network.weights, network.biases, {1: 11, 2: 2}).right())
    neurons.page.get_by_role("button", name="Take all changes back").press("Enter")
    has_right(neurons, right)
    expect(neurons.page.get_by_label("neuron 12 of hidden layer 1 is on")).to_be_checked()


def test_a_changed_weight_changes_the_scores_in_the_page_alone(neurons: Visit, stub: Stub):
    """Scores of the digit on the pad and the accuracy, as numpy has them; the server is not asked."""
    pixels = np.uint8(
        neurons.answer_to(lambda: neurons.page.locator(".lit .digits button").first.click())["predictions"][0][
            "activations"
        ][0]["values"]
    )
    asked = len(neurons.requests)
    network = Network.served(stub)
    neurons.page.locator(".layer").nth(1).get_by_role("button", name="neuron 4").press("Enter")
    neurons.page.get_by_label("Weight from").fill("3")
    neurons.page.get_by_label("Weight from").press("Enter")
    neurons.page.get_by_label("Its value").fill("1.5")
    neurons.page.get_by_label("Bias").fill("-2.25")
    network.weights[1][2, 3], network.biases[1][3] = 1.5, -2.25
    has_right(neurons, network.right())
    logits = network.values(pixels[None])[-1][0]
    scores = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    shown = neurons.page.locator("#view-neurons .shares .score").all_inner_texts()
    assert [float(each.removesuffix(" %")) for each in shown] == pytest.approx(100 * scores, abs=0.06)
    value = neurons.page.get_by_label("Its value")
    value.press("ArrowRight")
    assert float(value.input_value()) > 1.5
    assert all("DigitsService" not in request.url for request in neurons.requests[asked:])


def test_what_lights_a_neuron_most(neurons: Visit, stub: Stub):
    """The test digits in their order; the image, within its bounds, more than any digit and most of what can be."""
    network = Network.served(stub)
    digits, classes = examples()
    values = network.values(digits)
    for layer, neuron in ((1, 2), (2, 11), (3, 7)):
        neurons.page.locator(".layer").nth(layer - 1).locator("button").nth(neuron).click()
        found = values[layer - 1][:, neuron]
        buttons = neurons.page.locator(".lit .digits button")
        wanted = [f"A {classes[at]}" for at in np.argsort(-found, kind="stable")[:12]]
        assert buttons.evaluate_all("all => all.map(each => each.ariaLabel)") == wanted
        reached = float(neurons.page.locator(".lit figure canvas").get_attribute("data-sum"))
        assert reached > found.max()
    neurons.page.locator(".layer").first.locator("button").nth(2).click()
    weights, bias = network.weights[0][:, 2], network.biases[0][2]
    most = np.maximum(weights, 0).sum() + bias - 33 / 255 * weights.sum()
    reached = float(neurons.page.locator(".lit figure canvas").get_attribute("data-sum"))
    assert 0.9 * most < reached <= most + 1e-6
    expect(neurons.page.locator(".honest")).to_contain_text("“Edges, then shapes” is hardly what this network does")


def test_a_network_of_many_neurons_is_not_shown_one_by_one(visit: Visit):
    """The page says so and leads to one that is."""
    visit.choose("mnist-large 1")
    visit.page.get_by_role("tab", name="Neurons").click()
    tab = visit.page.get_by_role("tabpanel", name="Neurons")
    expect(tab).to_contain_text("mnist-large 1, 784-1536-1024-512-10, ReLU, has too many neurons")
    tab.get_by_role("button", name="mnist-16x16 2").click()
    expect(tab).to_contain_text("mnist-16x16 2, 784-16-16-10, ReLU. Switch neurons off")
