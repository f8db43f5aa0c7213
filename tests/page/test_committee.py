"""A committee on the page: its members one at a time, their scores together."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.json_format import ParseDict
from playwright.sync_api import expect

from tests.page.page_driver import Visit
from tests.support.server import MODELS, StartServer, Stub


def test_one_member_is_drawn_and_another_can_be_chosen(
    visits: Callable[..., Visit], start_server: StartServer, committee: Path
):
    """Its neurons, its weights and its biases; the scores stay those of all."""
    server = start_server(models=committee)
    visit = visits()
    visit.page.goto(f"http://127.0.0.1:{server.http_port}/#draw")
    expect(visit.page.locator(".about")).to_contain_text("3 networks, each 64-12-7-10, ReLU")
    answer = visit.answer_to(lambda: visit.draw("5"))
    [prediction] = ParseDict(answer, pb.ClassifyResponse()).predictions
    shown = visit.page.locator(".outputs .score").all_inner_texts()
    choice = visit.page.get_by_label("Network of the committee, first network")
    expect(choice.locator("option")).to_have_text(["network 1 of 3", "network 2 of 3", "network 3 of 3"])
    for member in (0, 2, 1):
        choice.select_option(str(member))
        for layer in (1, 2):
            held = np.float32(visit.neurons(layer))
            assert np.array_equal(held, np.float32(prediction.activations[2 * member + layer].values))
        neuron = visit.page.locator('[aria-label^="Hidden layer 2, neuron 3:"]')
        neuron.click()
        bias = visit.page.locator(".inspector dl div").filter(has_text="Bias").locator("dd")
        with server.channel() as channel:
            network = Stub(channel).get_network(pb.GetNetworkRequest(member=member, layer=2), timeout=10)
        expect(bias).to_have_attribute("data-value", repr(network.layers[0].biases[2]))
        neuron.click()
    assert visit.page.locator(".outputs .score").all_inner_texts() == shown
    visit.page.locator('[aria-label^="Output 5:"]').click()
    expect(visit.page.locator(".inspector dl div").filter(has_text="Score by all networks")).to_have_count(1)
    visit.no_errors()


def test_a_single_network_has_no_choice_of_members(visit: Visit):
    """The choice is for committees alone."""
    expect(visit.page.get_by_label("Network of the committee, first network")).to_be_hidden()


def test_a_variant_is_named(visits: Callable[..., Visit], start_server: StartServer):
    """Beside what it runs on, so that nobody takes its scores for the version's own."""
    server = start_server("--variant=mnist-committee=int8", "--default-model=mnist-committee", models=MODELS)
    visit = visits()
    visit.page.goto(f"http://127.0.0.1:{server.http_port}/")
    visit.page.get_by_role("tab", name="The model").click()
    runs = visit.page.locator("dl div").filter(has=visit.page.locator("dt", has_text="Runs")).first
    expect(runs.locator("dd")).to_have_text("CPUExecutionProvider, int8")
    expect(visit.page.get_by_role("heading", name="Are its scores chances?")).to_be_visible()
    visit.no_errors()
