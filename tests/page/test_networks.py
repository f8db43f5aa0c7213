"""What is shown of a network is what the RPC says and scikit-learn computes."""

import base64
import gzip
from pathlib import Path

import numpy as np
import pytest
import skops.io
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.json_format import ParseDict
from playwright.sync_api import expect

from tests.page.page_driver import Visit
from tests.support.processes import ROOT
from tests.support.server import MODELS, Stub

EXAMPLES = len(gzip.decompress((ROOT / "service" / "web" / "examples" / "mnist.gz").read_bytes())) // 785


def shown(visit: Visit, name: str, panel: int = 0) -> float:
    """A number of the neuron that is looked at."""
    row = visit.page.locator(".panel").nth(panel).locator(".inspector dl div").filter(has_text=name)
    return float(row.locator("dd").get_attribute("data-value"))


@pytest.mark.parametrize("version", ["mnist-16x16 2", "mnist-16x16 1", "digits-8x8 1"])
def test_activations_are_those_of_the_rpc_and_of_scikit_learn(visit: Visit, stub: Stub, version: str):
    """For the pixels of a drawn digit, neuron by neuron; and the numbers of a neuron add up."""
    visit.choose(version)
    answer = visit.answer_to(lambda: visit.draw("5"))
    prediction = ParseDict(answer, pb.ClassifyResponse()).predictions[0]
    name, number_ = version.split()
    pixels = np.array(prediction.activations[0].values)
    request = pb.ClassifyRequest(
        model=name, version=number_, pixels=pixels.astype(np.uint8).tobytes(), include_activations=True
    )
    [again] = stub.classify(request, timeout=10).predictions
    card = stub.get_model(pb.GetModelRequest(model=name, version=number_), timeout=10).card
    file = MODELS / name / number_ / "model.skops"
    fitted = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    inputs = ((pixels - card.pixel_offset) * card.pixel_scale)[None]
    layers = fitted._forward_pass([inputs] + [None] * (fitted.n_layers_ - 1))
    for layer in range(1, fitted.n_layers_ - 1):
        held = visit.neurons(layer)
        assert np.array_equal(np.float32(held), np.float32(again.activations[layer].values))
        assert np.allclose(held, layers[layer][0], atol=1e-5)
    scores = visit.page.locator(".outputs .score").all_inner_texts()
    assert [float(each.removesuffix(" %")) for each in scores] == pytest.approx(100 * layers[-1][0], abs=0.06)

    visit.page.locator('[aria-label^="Hidden layer 1, neuron 4:"]').click()
    bias, weights = fitted.intercepts_[0][3], fitted.coefs_[0][:, 3]
    assert shown(visit, "Inputs × weights") == pytest.approx(float(inputs[0] @ weights), abs=1e-4)
    assert shown(visit, "Bias") == pytest.approx(bias, abs=1e-6)
    assert shown(visit, "Weighted sum") == pytest.approx(float(inputs[0] @ weights + bias), abs=1e-4)
    assert shown(visit, "of it") == visit.neurons(1)[3]


def test_a_neuron_is_looked_at_by_pointing_and_kept_by_a_click(visit: Visit):
    """Its title, its numbers, its weights as an image of some colours; then the whole layer again."""
    title = visit.page.locator(".inspector h3")
    expect(title).to_have_text("What the first layer looks for")
    visit.page.locator('[aria-label^="Hidden layer 1, neuron 6:"]').hover()
    expect(title).to_have_text("Hidden layer 1, neuron 6")
    colours = visit.page.locator(".inspector figure canvas").first.evaluate(
        """canvas => new Set(new Uint32Array(canvas.getContext("2d")
          .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    )
    assert colours > 50
    visit.page.locator("h1").hover()
    expect(title).to_have_text("What the first layer looks for")
    visit.page.locator('[aria-label^="Hidden layer 2, neuron 1:"]').click()
    visit.page.locator("h1").hover()
    expect(title).to_have_text("Hidden layer 2, neuron 1")
    visit.page.locator('[aria-label^="Hidden layer 2, neuron 1:"]').click()
    visit.page.locator("h1").hover()
    expect(title).to_have_text("What the first layer looks for")


def test_a_wide_network_is_heat_maps_whose_neurons_can_be_looked_at(visit: Visit, stub: Stub):
    """Three maps; the weights of a layer are fetched when one of its neurons is looked at."""
    visit.choose("mnist-large 1")
    maps = visit.page.locator(".neurons .map")
    expect(maps).to_have_count(3)
    maps.first.focus()
    for key in ("PageDown", "ArrowDown", "ArrowDown"):
        visit.page.keyboard.press(key)
    expect(visit.page.locator(".inspector h3")).to_have_text("Hidden layer 1, neuron 53")
    expect(visit.page.locator(".inspector dd").nth(1)).not_to_have_text("–")
    network = stub.get_network(pb.GetNetworkRequest(model="mnist-large", layer=1), timeout=20)
    assert shown(visit, "Bias") == np.float32(network.layers[0].biases[52])
    assert maps.first.get_attribute("aria-label").startswith("Hidden layer 1, neuron 53 of 1536: ")


def test_sigmoid_and_relu_stand_side_by_side_on_the_same_drawing(visit: Visit):
    """Both say the digit; both see the same pixels; each can be changed by itself; and back to one."""
    visit.page.get_by_label("Two models side by side").check()
    expect(visit.page.locator(".about")).to_have_text(
        ["784-16-16-10, ReLU, 96.33 % right", "784-16-16-10, sigmoid, 96.19 % right"]
    )
    visit.page.get_by_role("button", name="Draw a 0").click()
    visit.says("0", "0")
    relu, sigmoid = visit.neurons(1, 0), visit.neurons(1, 1)
    assert max(relu) > 1 >= max(sigmoid)
    assert min(sigmoid) > 0 == min(relu)
    visit.choose("digits-8x8 1", panel=1)
    visit.says("0", "0")
    visit.page.get_by_label("Two models side by side").uncheck()
    visit.says("0")
    expect(visit.page.locator(".panel")).to_have_count(1)


def test_the_card_shows_the_digits_behind_each_mistake(visit: Visit, stub: Stub):
    """Accuracy and matrix as on the card; a cell's digits, as many as it counts; a mistake goes back on the pad."""
    visit.choose("mnist-16x16 2")
    visit.page.get_by_role("tab", name="The model").click()
    card = stub.get_model(pb.GetModelRequest(model="mnist-16x16", version="2"), timeout=10).card
    expect(visit.page.locator(".big")).to_have_text(f"{100 * card.accuracy:.2f} %")
    cells = visit.page.locator(".matrix tbody button").all_inner_texts()
    assert [int(text.replace("·", "0")) for text in cells] == list(card.confusion)
    expect(visit.page.locator("#view-card")).to_have_attribute("data-scored", str(EXAMPLES))
    count = card.confusion[10 * 4 + 9]
    visit.page.get_by_role("button", name=f"{count} times 4 was taken for 9").click()
    expect(visit.page.locator(".matrix .digits button")).to_have_count(count)
    visit.page.locator(".worst button").first.click()
    expect(visit.page.locator("#view-draw")).to_be_visible()
    visit.says("4")  # it is a 6, and the page gives the network its very pixels


def test_the_service_is_shown_by_its_metrics(visit: Visit, stub: Stub):
    """Charts that move with the calls of others, and the models with what they scored."""
    visit.page.get_by_role("tab", name="The service").click()
    images = visit.page.get_by_role("figure", name="Images scored").locator(".now")
    expect(images).to_have_text("0/s")
    row = visit.page.locator(".models tr").filter(has_text="digits-8x8")
    before = int(row.locator("td").nth(3).inner_text().replace(",", ""))
    for _ in range(3):
        stub.classify(pb.ClassifyRequest(model="digits-8x8", pixels=bytes(64 * 100)), timeout=10)
    expect(row.locator("td").nth(3)).to_have_text(f"{before + 300:,}")
    expect(visit.page.get_by_role("figure", name="Batch").locator(".most")).to_have_text("most 100")


def test_the_pixels_of_a_chosen_mistake_reach_the_network_as_they_are(visit: Visit, tmp_path: Path):
    """Not as a picture that would be prepared anew."""
    visit.page.get_by_role("tab", name="The model").click()
    digit = visit.page.locator(".worst button").first
    answer = visit.answer_to(lambda: (digit.click(), expect(visit.page.locator("#view-draw")).to_be_visible()))
    sent = [request.post_data_json for request in visit.requests if request.url.endswith("/Classify")][-1]
    pixels = np.frombuffer(base64.b64decode(sent["pixels"]), np.uint8)
    assert np.array_equal(pixels, answer["predictions"][0]["activations"][0]["values"])
