"""Why: the parts of a score drawn over the digit, the neurons' numbers, and a small change beside it."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from playwright.sync_api import expect

from tests.page.page_driver import Visit
from tests.support.server import StartServer, Stub


def why(visit: Visit) -> bytes:
    """Draw a 5, have it explained; returns the pixels that the network got."""
    visit.clear()
    visit.page.get_by_label("Why", exact=True).check()
    expect(visit.page.locator(".why")).to_contain_text("Draw a digit to see why")
    answer = visit.answer_to(lambda: visit.draw("5"))
    return np.uint8(answer["predictions"][0]["activations"][0]["values"]).tobytes()


def shown(visit: Visit) -> list[dict[str, float]]:
    """The numbers of each hidden layer by their names."""
    layers = visit.page.locator(".why .parts > div")
    return [
        dict(
            layers.nth(at)
            .locator("li")
            .evaluate_all("all => all.map(each => [each.firstChild.textContent, Number(each.dataset.value)])")
        )
        for at in range(layers.count())
    ]


def is_shown(visit: Visit, explanation: pb.Explanation) -> None:
    """The logit, and what each layer adds to it."""
    logit = f"{explanation.logit:#.4g}".replace("-", "\u2212")
    expect(visit.page.locator(".why .note")).to_contain_text(f"is {logit}.")
    are_shown(visit, explanation)


def are_shown(visit: Visit, explanation: pb.Explanation) -> None:
    """The strongest neurons of each layer, with what they and the rest add."""
    for numbers, layer in zip(shown(visit), explanation.layers[1:], strict=True):
        assert numbers["rest"] == pytest.approx(layer.rest, abs=1e-5)
        named = {int(name.split()[1]) - 1: value for name, value in numbers.items() if name.startswith("neuron")}
        strongest = np.argsort(-np.abs(layer.contributions))[: len(named)]
        assert list(named) == strongest.tolist()
        assert list(named.values()) == pytest.approx([layer.contributions[at] for at in named], abs=1e-5)
        assert sum(numbers.values()) == pytest.approx(explanation.logit, abs=1e-3)


def colour(visit: Visit, pixel: int) -> list[int]:
    """The colour of a pixel of the explained digit."""
    return visit.page.locator(".why figure canvas").first.evaluate(
        """(canvas, pixel) => {
          const side = canvas.width / 200 * 198 / 28;
          const edge = canvas.width / 200;
          const [x, y] = [pixel % 28, Math.floor(pixel / 28)].map(at => Math.floor(edge + (at + 0.5) * side));
          return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
        }""",
        pixel,
    )


def test_the_parts_are_those_of_explain(visit: Visit, stub: Stub):
    """For the best score and for a chosen class, exact with ReLU; the colours are those of the weights."""
    pixels = why(visit)
    for position in (None, 8):
        if position is not None:
            visit.page.get_by_label("Class to explain").select_option(str(position))
        wanted = stub.explain(
            pb.ExplainRequest(model="mnist-16x16", pixels=pixels, explained_class=position), timeout=10
        )
        expect(visit.page.locator(".why h2")).to_have_text(f"Why {wanted.explained_class}")
        is_shown(visit, wanted.members[0])
        expect(visit.page.locator(".why .note")).to_contain_text("The parts are exact")
        parts = wanted.members[0].layers[0].contributions
        assert colour(visit, int(np.argmax(parts))) == [0xFF, 0x9A, 0x52]
        assert colour(visit, int(np.argmin(parts))) == [0x4F, 0xA3, 0xFF]
    visit.choose("mnist-16x16 1")
    expect(visit.page.locator(".why .note")).to_contain_text("The parts are integrated gradients")


def test_a_small_change_makes_it_another_class(visit: Visit, stub: Stub):
    """Any other, or a chosen one; a new digit takes it away."""
    pixels = why(visit)
    change = visit.page.locator(".why figure").nth(1)
    expect(change).to_be_hidden()
    visit.page.get_by_role("button", name="Find a small change").click()
    expect(change).to_contain_text("changed, and it says")
    visit.page.get_by_label("Class to change it into").select_option("3")
    expect(change).to_contain_text("it says 3")
    request = pb.ExplainRequest(model="mnist-16x16", pixels=pixels, find_change=True, changed_class=3)
    wanted = stub.explain(request, timeout=10).change
    expect(change).to_contain_text(f"{wanted.changed_pixels} pixels changed, and it says {wanted.prediction.digit}, ")
    visit.draw("8")
    expect(change).to_be_hidden()


def test_a_wrong_test_digit_leads_to_why_it_is_not_what_it_is(visit: Visit, stub: Stub):
    """By the keyboard, from the first tab: to the mistakes, to a 4 taken for 9, to what speaks for 9 rather than 4."""
    page = visit.page
    page.get_by_role("button", name="Digits that it gets wrong").press("Enter")
    page.get_by_role("button", name="times 4 was taken for 9").press("Enter")
    answer = visit.answer_to(lambda: page.locator(".matrix .digits button").first.press("Enter"))
    pixels = np.uint8(answer["predictions"][0]["activations"][0]["values"]).tobytes()
    expect(page.locator("#truth")).to_contain_text("Test digit, labelled 4.")
    page.get_by_role("button", name="Why 9, not 4?").press("Enter")
    expect(page.locator(".why h2")).to_have_text("Why 9 rather than 4")
    nine, four = (
        stub.explain(
            pb.ExplainRequest(model="mnist-16x16", pixels=pixels, explained_class=position), timeout=10
        ).members[0]
        for position in (9, 4)
    )
    difference = pb.Explanation(logit=nine.logit - four.logit)
    for one, other in zip(nine.layers, four.layers, strict=True):
        parts = np.subtract(one.contributions, other.contributions)
        difference.layers.add(contributions=parts, rest=one.rest - other.rest)
    assert difference.logit > 0
    expect(page.locator(".why .note")).to_contain_text(f"less that of 4 is {difference.logit:#.4g}.")
    are_shown(visit, difference)
    assert colour(visit, int(np.argmax(difference.layers[0].contributions))) == [0xFF, 0x9A, 0x52]
    visit.draw("5")
    expect(page.locator("#truth")).to_be_hidden()


def test_two_networks_are_both_explained(visit: Visit):
    """Each by itself, with what was asked for; and one alone when one is shown."""
    visit.page.get_by_label("Why", exact=True).check()
    visit.page.get_by_label("Two models side by side").check()
    visit.choose("mnist-16x16 3", panel=1)
    first, second = (visit.page.get_by_role("region", name=f"Why the {name} network") for name in ("first", "second"))
    expect(first.locator(".note")).to_contain_text("The parts are exact")
    expect(second.locator(".note")).to_contain_text("The parts are integrated gradients")
    visit.page.get_by_label("Class that it is compared with, second network").select_option("8")
    expect(second.locator("h2")).to_have_text("Why 3 rather than 8")
    expect(first.locator("h2")).to_have_text("Why 3")
    visit.choose("mnist-16x16 1", panel=1)
    expect(second.locator("h2")).to_have_text("Why 3 rather than 8")
    visit.page.get_by_label("Two models side by side").uncheck()
    expect(second).to_have_count(0)
    expect(first.locator("h2")).to_have_text("Why 3")


def test_a_committee_is_explained_network_by_network(
    visits: Callable[..., Visit], start_server: StartServer, committee: Path
):
    """The logit and the parts of each; another one can be chosen."""
    server = start_server(models=committee)
    visit = visits(reduced_motion="reduce")  # the digit that the page begins with is there at once
    visit.page.goto(f"http://127.0.0.1:{server.http_port}/#draw")
    expect(visit.page.locator(".about")).to_contain_text("3 networks, each 64-12-7-10, ReLU")
    expect(visit.verdict).to_have_count(1)
    pixels = why(visit)
    with server.channel() as channel:
        wanted = Stub(channel).explain(pb.ExplainRequest(pixels=pixels), timeout=10)
    assert len(wanted.members) == 3
    expect(visit.page.locator(".why .note")).to_contain_text(re.compile("Logits of all networks: .+, .+, .+"))
    for member in (0, 2):
        visit.page.get_by_label("Network of the committee to explain").select_option(str(member))
        is_shown(visit, wanted.members[member])
    visit.no_errors()
