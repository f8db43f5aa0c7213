"""The tab that plays a training: each snapshot is the network as it was, the last one is the model itself."""

import gzip
import re
from dataclasses import dataclass

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray
from playwright.sync_api import expect

from artifact.snapshots import Snapshots, read_snapshots
from tests.page.page_driver import Visit
from tests.support.processes import ROOT
from tests.support.server import MODELS, Stub

EXAMPLES = ROOT / "service" / "web" / "examples" / "mnist.gz"
LAST = 39


@dataclass
class Past:
    """The network of one snapshot, computed from the file."""

    snapshots: Snapshots
    at: int

    def scores(self, pixels: NDArray) -> NDArray:
        """[N, 784] pixels to [N, 10]; version 4 has ReLU, and pixels are (pixel - 33) / 255."""
        values = (pixels - 33.0) / 255
        for weights, biases in zip(self.snapshots.weights, self.snapshots.biases, strict=True):
            sums = values @ weights[self.at].astype(float) + biases[self.at]
            values = np.maximum(sums, 0)
        powers = np.exp((sums - sums.max(axis=1, keepdims=True)) / 0.9856)
        return powers / powers.sum(axis=1, keepdims=True)


def examples() -> tuple[NDArray, NDArray]:
    """Pixels and classes of the page's test digits."""
    rows = np.frombuffer(gzip.decompress(EXAMPLES.read_bytes()), np.uint8).reshape(-1, 785)
    return rows[:, 1:], rows[:, 0]


@pytest.fixture
def pixels(visit: Visit) -> NDArray:
    """A 7 is on the pad: what the network gets of it."""
    answer = visit.answer_to(lambda: (visit.page.get_by_role("button", name="Draw a 7").click(), visit.says("7")))
    return np.uint8(answer["predictions"][0]["activations"][0]["values"])


@pytest.fixture
def learning(visit: Visit, pixels: NDArray) -> Visit:
    """The tab is open."""
    visit.page.get_by_role("tab", name="Learning").click()
    expect(visit.page.get_by_text("Before it learns")).to_be_visible()
    return visit


def show(visit: Visit, at: int) -> None:
    visit.page.get_by_label("Snapshot of the training").fill(str(at))


def test_each_frame_is_the_network_of_its_snapshot(learning: Visit, pixels: NDArray, stub: Stub):
    """Scores of the digit on the pad, and mistakes on the page's test digits; the last ones are the server's."""
    snapshots = read_snapshots(MODELS / "mnist-16x16" / "4" / "snapshots.npz")
    digits, classes = examples()
    wrong = {}
    for at in (0, 1, 12, LAST):
        show(learning, at)
        shown = learning.page.locator("#view-learning .shares .score").all_inner_texts()
        wanted = Past(snapshots, at).scores(pixels[None])[0]
        # float16 of the last frame's weights is in the file alone.
        tolerance = 0.06 if at < LAST else 0.5
        assert [float(each.removesuffix(" %")) for each in shown] == pytest.approx(100 * wanted, abs=tolerance)
        wrong[at] = int(learning.page.locator(".mistakes").get_attribute("data-wrong"))
        if at < LAST:
            assert wrong[at] == (Past(snapshots, at).scores(digits).argmax(axis=1) != classes).sum()
    request = pb.ClassifyRequest(model="mnist-16x16", version="4", pixels=digits.tobytes())
    served = stub.classify(request, timeout=20)
    assert wrong[LAST] == sum(each.digit != truth for each, truth in zip(served.predictions, classes, strict=True))
    assert wrong[0] > 600 > wrong[LAST]


def test_the_last_frame_gives_the_scores_of_the_server(visit: Visit):
    """For a digit that it is not sure of, by a version whose scores were calibrated."""
    visit.choose("mnist-16x16 3")
    visit.page.get_by_role("tab", name="Learning").click()
    expect(visit.page.get_by_text("Before it learns")).to_be_visible()
    show(visit, 12)
    show(visit, LAST)
    answer = visit.answer_to(lambda: visit.page.locator(".changes button").first.click())
    scores = answer["predictions"][0]["scores"]
    assert max(scores) < 0.99
    shown = visit.page.locator("#view-learning .shares .score").all_inner_texts()
    assert [float(each.removesuffix(" %")) for each in shown] == pytest.approx(100 * np.array(scores), abs=0.06)


def test_mistakes_that_were_mended_and_made_are_counted_from_frame_to_frame(learning: Visit):
    """Also when the slider goes back; a digit among them goes under the network."""
    snapshots = read_snapshots(MODELS / "mnist-16x16" / "4" / "snapshots.npz")
    pixels, classes = examples()
    right = {at: Past(snapshots, at).scores(pixels).argmax(axis=1) == classes for at in (3, 20)}
    count = learning.page.locator(".mistakes .count")
    show(learning, 3)
    for before, at in ((3, 20), (20, 3)):
        show(learning, at)
        mended, made = (right[at] & ~right[before]).sum(), (right[before] & ~right[at]).sum()
        epoch = snapshots.epochs[before]
        expect(count).to_have_text(
            f"{(~right[at]).sum()} of {len(classes)} wrong: {mended} mended and {made} new since epoch {epoch}"
        )
    digit = learning.page.locator(".changes button").first
    was, now = re.search(r"taken for (\d), is taken for (\d)", digit.get_attribute("aria-label")).groups()
    assert was != now
    digit.click()
    expect(learning.page.locator("#view-learning .box h3").first).to_have_text(f"It said {now}")


def test_it_is_played_by_keys(learning: Visit):
    """Arrow keys, Home and End on the slider; the button plays to the end, stops, and can begin anew."""
    slider = learning.page.get_by_label("Snapshot of the training")
    slider.focus()
    for key, said in (("ArrowRight", "Epoch 1 of 400"), ("End", "Epoch 400 of 400"), ("ArrowLeft", "Epoch")):
        learning.page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuetext", re.compile(said))
    learning.page.keyboard.press("Shift+Tab")
    learning.page.keyboard.press("Enter")
    expect(slider).to_have_attribute("aria-valuetext", "Epoch 400 of 400")
    play = learning.page.locator(".player button")
    expect(play).to_be_focused()
    expect(play).to_have_text("Play")
    learning.page.keyboard.press("Space")
    expect(play).to_have_text("Pause")
    learning.page.keyboard.press("Space")
    expect(play).to_have_text("Play")
    assert int(slider.input_value()) < LAST


def test_a_version_without_snapshots_says_which_have_them(visit: Visit):
    """And a click leads there."""
    visit.choose("mnist-16x16 1")
    visit.page.get_by_role("tab", name="Learning").click()
    tab = visit.page.get_by_role("tabpanel", name="Learning")
    expect(tab).to_contain_text("mnist-16x16 1, 784-16-16-10, sigmoid, has no snapshots of its training")
    expect(tab.get_by_role("button", name=re.compile("mnist-"))).to_have_text(
        ["mnist-16x16 3: 784-16-16-10, sigmoid", "mnist-16x16 4: 784-16-16-10, ReLU"]
    )
    tab.get_by_role("button", name="mnist-16x16 3").click()
    expect(tab).to_contain_text("mnist-16x16 3, 784-16-16-10, sigmoid: 40 snapshots")
    expect(tab.get_by_text("Before it learns")).to_be_visible()
    expect(tab.locator(".box h3").first).to_have_text(re.compile(r"It said \d"))  # the digit on the pad
    assert all("400" in each for each in visit.errors)  # the browser's word on each refusal
    visit.errors.clear()
