"""What a visitor draws, by mouse, keyboard, file or clipboard, is what the network answers to."""

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.page.page_driver import BEST, STROKES, Visit


def test_a_drawn_3_is_a_3(visit: Visit):
    """By mouse events, with the default model; the score and the margin stand beside it, and are said aloud."""
    visit.clear()
    visit.draw("3")
    visit.says("3")
    expect(visit.page.locator("#verdict small")).to_have_text(re.compile(r"[\d.]+ %margin [01]\.\d{3}"))
    expect(visit.page.locator("#said")).to_contain_text("The network says 3, ")
    best = visit.page.locator(".outputs .best")
    expect(best).to_have_count(1)
    expect(best.locator(".class")).to_have_text("3")


def test_all_ten_drawn_digits_are_right_with_the_best_model(visit: Visit):
    """The committed strokes, one digit after the other on a cleared pad."""
    visit.choose(BEST)
    said = {}
    for digit in STROKES:
        visit.clear()
        visit.draw(digit)
        said[digit] = visit.verdict.inner_text()
    assert said == {digit: digit for digit in STROKES}


def test_the_network_answers_while_the_hand_draws_with_one_call_at_a_time(visit: Visit):
    """Several answers before the mouse button is up; none is asked for while another is on its way."""
    visit.clear()
    visit.page.evaluate("""() => {
      window.calls = {now: 0, most: 0, all: 0};
      const fetched = window.fetch;
      window.fetch = async (...given) => {
        const counted = String(given[0]).endsWith("Classify");
        if (counted) { calls.all++; calls.most = Math.max(calls.most, ++calls.now); }
        try { return await fetched(...given); } finally { if (counted) calls.now--; }
      };
    }""")
    box = visit.page.locator("#pad").bounding_box()
    visit.page.mouse.move(box["x"] + 90, box["y"] + 60)
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 180, box["y"] + 60, steps=10)
    expect(visit.verdict).to_have_count(1)
    before = visit.page.evaluate("calls.all")
    visit.page.mouse.move(box["x"] + 130, box["y"] + 220, steps=30)
    visit.settled()
    assert before >= 1
    assert visit.page.evaluate("calls.all") > before
    visit.page.mouse.up()
    assert visit.page.evaluate("calls.most") == 1


def test_undo_takes_a_stroke_back_and_clear_all(visit: Visit):
    """The network sees what is left; of nothing it says nothing, and no neuron holds a value."""
    visit.clear()
    visit.draw("1")
    visit.says("1")
    values = visit.neurons(1)
    visit.draw("7")
    assert visit.neurons(1) != values
    visit.page.get_by_role("button", name="Undo").click()
    visit.settled()
    assert visit.neurons(1) == values
    visit.page.get_by_role("button", name="Undo").click()
    expect(visit.verdict).to_have_count(0)
    expect(visit.page.locator('[aria-label="Hidden layer 1, neuron 1"]')).to_have_count(1)


def test_a_digit_can_be_drawn_by_keyboard_alone(visit: Visit):
    """Tab to the pad, arrows, space: a 1; then on with Tab to its neurons, and their numbers."""
    keys = visit.page.keyboard
    visit.page.locator("#tab-draw").focus()
    for _ in range(3):
        keys.press("Tab")
        if visit.page.evaluate("document.activeElement.id") == "pad":
            break
    assert visit.page.evaluate("document.activeElement.id") == "pad"
    for _ in range(2):
        keys.press("Delete")
    expect(visit.verdict).to_have_count(0)
    keys.press(" ")
    for _ in range(13):
        keys.press("ArrowDown")
    keys.press(" ")
    visit.says("1")
    for _ in range(30):
        keys.press("Tab")
        if (visit.page.evaluate("document.activeElement.ariaLabel") or "").startswith("Hidden layer 1, neuron 1:"):
            break
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(visit.page.locator(".inspector h3")).to_have_text("Hidden layer 1, neuron 2")
    keys.press("ArrowRight")
    assert visit.page.evaluate("document.activeElement.ariaLabel").startswith("Hidden layer 2, neuron 2: ")


@pytest.mark.parametrize("how", ["paste", "drop", "open"])
def test_an_image_is_pasted_dropped_or_opened(visit: Visit, seven: Path, how: str):
    """A PNG of a seven; the file itself goes to the server, not the pad's picture of it."""
    if how == "open":
        visit.page.locator("#file").set_input_files(seven)
    else:
        visit.give(how, seven.read_bytes())
    visit.says("7")
    visit.settled()
    sent = [request.post_data_json for request in visit.requests if request.url.endswith("/Classify")][-1]
    assert base64.b64decode(sent["encodedImages"][0]) == seven.read_bytes()


def test_what_is_no_image_is_refused_in_words(visit: Visit):
    """By the browser, or by the server, whose sentence is shown; and the page goes on."""
    visit.give("paste", b"no image at all")
    expect(visit.page.locator("#banner")).to_contain_text("is no image that this browser can read")
    blank = io.BytesIO()
    Image.new("L", (60, 60), 255).save(blank, "PNG")
    visit.give("paste", blank.getvalue())
    visit.settled()
    visit.page.get_by_role("button", name="Draw a 4").click()
    visit.says("4")


def test_each_sample_is_drawn_as_by_a_hand_and_recognised(visit: Visit):
    """All ten, with the best model."""
    visit.choose(BEST)
    for digit in "0123456789":
        visit.page.get_by_role("button", name=f"Draw a {digit}", exact=True).click()
        visit.says(digit)
        visit.settled()
        visit.says(digit)
