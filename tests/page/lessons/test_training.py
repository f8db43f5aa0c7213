"""The network that learns in the page: its steps are scikit-learn's."""

import gzip
import re
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import expect
from sklearn.neural_network import MLPClassifier

from tests.page.page_driver import Visit
from tests.support.processes import ROOT
from training.data.mnist import read_part

DIGITS = ROOT / "service" / "web" / "examples" / "mnist-training.gz"
STEPS, BATCH, RATE = 200, 20, 0.1
WIDTHS = (784, 16, 16, 10)


def training_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels and classes of the digits that the network learns from."""
    rows = np.frombuffer(gzip.decompress(DIGITS.read_bytes()), np.uint8).reshape(-1, 785)
    return rows[:, 1:], rows[:, 0]


@pytest.fixture
def training(visit: Visit) -> Visit:
    """The tab is open, the network is at its start."""
    visit.page.get_by_role("tab", name="Train here").click()
    expect(visit.page.locator("#view-training .count")).to_contain_text("Before the first step")
    return visit


def test_its_digits_are_of_the_training_set():
    """As many of each class, none of the test set, and few bytes."""
    pixels, classes = training_digits()
    assert np.bincount(classes).tolist() == [180] * 10
    tests = read_part(ROOT / "tests" / "data" / "mnist", "t10k").pixels
    assert not {row.tobytes() for row in pixels} & {row.tobytes() for row in tests}
    assert DIGITS.stat().st_size < 300_000


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_its_steps_are_those_of_scikit_learn(visit: Visit, activation: str):
    """From the same weights over the same digits in the same order: weights and biases to 1e-5, and the last cost."""
    random = np.random.default_rng(7)
    pixels, classes = training_digits()
    order = random.permutation(len(pixels))
    start = [
        (random.uniform(-most, most, (inputs, neurons)), random.uniform(-most, most, neurons))
        for inputs, neurons in pairwise(WIDTHS)
        for most in [(6 / (inputs + neurons)) ** 0.5]
    ]
    fitted = MLPClassifier(
        (16, 16), activation=activation, solver="sgd", alpha=0, batch_size=BATCH, shuffle=False,
        learning_rate_init=RATE, momentum=0, nesterovs_momentum=False,
    )  # fmt: skip
    inputs = pixels / 255
    fitted.partial_fit(inputs[:BATCH], classes[:BATCH], classes=np.arange(10))
    fitted.coefs_, fitted.intercepts_ = ([layer[at].copy() for layer in start] for at in (0, 1))
    for step in range(STEPS):
        batch = order[np.arange(step * BATCH, (step + 1) * BATCH) % len(order)]
        fitted.partial_fit(inputs[batch], classes[batch])
    learned = visit.page.evaluate(
        """async ({start, order, activation, steps, batch, rate}) => {
          const [{Trainer}, {trainingDigits}] = await Promise.all(
            [import("/lessons/training/trainer.js"), import("/examples/examples.js")]);
          const digits = await trainingDigits();
          const layers = start.map(([weights, biases]) => ({
            inputs: weights.length / biases.length, neurons: biases.length,
            weights: Float64Array.from(weights), biases: Float64Array.from(biases)}));
          const state = await new Promise(done => {
            const trainer = new Trainer(state => state.step === steps && done(state));
            trainer.begin({digits, tests: [], layers, activation, seed: 0, order, rate, batch});
            trainer.go(steps);
          });
          return state.layers.map(({weights, biases}) => [[...weights], [...biases]]);
        }""",
        {
            "start": [[weights.ravel().tolist(), biases.tolist()] for weights, biases in start],
            "order": order.tolist(),
            "activation": activation,
            "steps": STEPS,
            "batch": BATCH,
            "rate": RATE,
        },
    )
    moved = 0.0
    for (weights, biases), coefs, intercepts, (begun, _) in zip(
        learned, fitted.coefs_, fitted.intercepts_, start, strict=True
    ):
        assert np.abs(np.reshape(weights, coefs.shape) - coefs).max() < 1e-5
        assert np.abs(np.array(biases) - intercepts).max() < 1e-5
        moved = max(moved, np.abs(coefs - begun).max())
    assert moved > 0.05


def test_a_step_moves_a_weight_against_its_gradient(training: Visit):
    """By the learning rate times the gradient, in the sentence and in the weight; chosen by number or by a click."""
    page = training.page
    said = page.locator(".direction")
    expect(said).to_contain_text("There is no gradient before the first step")
    page.get_by_label("Learning rate").select_option("0.3")
    for layer, neuron, source in (("1", "3", "406"), ("3", "5", "2")):
        page.locator(".weight select").select_option(layer)
        page.get_by_label("neuron", exact=True).fill(neuron)
        page.get_by_label(re.compile("^from")).fill(source)
        page.get_by_label(re.compile("^from")).press("Enter")
        before = float(said.get_attribute("data-weight"))
        steps = int(page.locator("#view-training .count").get_attribute("data-step"))
        page.get_by_role("button", name="One step").press("Enter")
        expect(page.locator("#view-training .count")).to_have_attribute("data-step", str(steps + 1))
        gradient, after = (float(said.get_attribute(f"data-{name}")) for name in ("gradient", "weight"))
        assert gradient != 0
        assert after - before == pytest.approx(-0.3 * gradient, rel=1e-6)
        expect(said).to_contain_text(f"moved it {'up' if gradient < 0 else 'down'} by 0.3000 ×")
    page.locator(".weight canvas").first.click(position={"x": 100, "y": 100})
    expect(page.get_by_label(re.compile("^from"))).to_have_value("11")


def test_it_learns_until_it_is_paused_and_begins_again_where_it_began(training: Visit):
    """More digits are right; the same start has the same accuracy, another one other weights."""
    page = training.page
    count = page.locator("#view-training .count")
    begun = count.inner_text()
    weight = page.locator(".direction").get_attribute("data-weight")
    page.get_by_role("button", name="Learn", exact=True).press("Enter")
    right = re.compile(r"cost [01]\.\d+, [2-7]\d\d of 760 right")
    expect(count).to_have_text(right, timeout=60_000)
    page.get_by_role("button", name="Pause").press("Enter")
    page.get_by_role("button", name="Same start again").click()
    expect(count).to_have_text(begun)
    assert page.locator(".direction").get_attribute("data-weight") == weight
    page.get_by_label("Activation").select_option("logistic")
    expect(count).to_contain_text("Before the first step")
    assert page.locator(".direction").get_attribute("data-weight") == weight
    page.get_by_role("button", name="Other start").click()
    expect(page.locator(".direction")).not_to_have_attribute("data-weight", weight)
