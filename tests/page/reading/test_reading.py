"""A picture of several digits is read, and each digit can be put into the network."""

import base64
import io
import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from tests.page.faulty_proxy import between
from tests.page.page_driver import BEST, CALL, PATIENCE, Visit
from tests.page.reading.pictures import CELL, asked, boxes, drawn, edges, file_of, give, read_by, reading, text
from tests.support.server import Server


@pytest.mark.parametrize("how", ["paste", "drop"])
def test_a_picture_of_two_digits_is_read(visit: Visit, server: Server, how: str):
    """Its text and its score; the boxes of the RPC over the ink; the first digit is in the network, by itself."""
    give(visit, file_of(drawn("72")), how)
    [request] = asked(visit, "Read")
    answer = read_by(server, **request)
    digits = [digit for line in answer["lines"] for digit in line["digits"]]
    assert text(visit) == ["72"] == [answer["text"]]
    expect(reading(visit).locator(".note")).to_have_text(
        f"2 digits, score {100 * answer['score']:.1f} %, by mnist-16x16 4"
    )
    expect(visit.page.locator("#read")).to_have_text("The picture shows 2 digits: 72.")
    left, top, right, bottom = edges(reading(visit).get_by_role("img", name="The picture"))
    scale = (right - left) / answer["width"]
    assert (bottom - top) == pytest.approx(answer["height"] * scale, abs=1)
    for place, (shown, digit) in enumerate(zip(boxes(visit).all(), digits, strict=True)):
        box = digit["box"]
        sides = box["left"], box["top"], box["left"] + box["width"], box["top"] + box["height"]
        wanted = [side * scale + start for side, start in zip(sides, (left, top, left, top), strict=True)]
        assert edges(shown) == pytest.approx(wanted, abs=1)
        # The digit stands in its cell whatever the RPC says.
        assert place * CELL <= (edges(shown)[0] - left) / scale < (edges(shown)[2] - left) / scale <= (place + 1) * CELL
        share = max(digit["prediction"]["scores"])
        expect(shown).to_have_text(f"{digit['prediction']['digit']}{100 * share:.0f} %")
        expect(shown).to_have_accessible_name(f"digit {place + 1}: {'72'[place]}, {100 * share:.1f} %")
    visit.says("7")
    assert [each.get_attribute("aria-pressed") for each in boxes(visit).all()] == ["true", "false"]


def test_a_box_is_chosen_by_keyboard_and_its_digit_is_as_if_dropped_alone(visit: Visit, server: Server):
    """The arrow key goes there, Enter puts its part of the picture, no other digit's, into the network."""
    picture = drawn("50", pitch=0.6)
    give(visit, file_of(picture))
    boxes(visit).first.focus()
    visit.page.keyboard.press("ArrowRight")
    expect(boxes(visit).nth(1)).to_be_focused()
    visit.says("5")
    visit.page.keyboard.press("Enter")
    visit.says("0")
    visit.settled()
    expect(boxes(visit).nth(1)).to_be_focused()
    expect(boxes(visit).nth(1)).to_have_attribute("aria-pressed", "true")
    assert text(visit) == ["50"]
    [encoded] = asked(visit, "Classify")[-1]["encodedImages"]
    crop = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"))
    answer = read_by(server, **asked(visit, "Read")[-1])
    box = answer["lines"][0]["digits"][1]["box"]
    neighbour = answer["lines"][0]["digits"][0]["box"]
    left = (neighbour["left"] + neighbour["width"] + box["left"]) // 2
    top = int(box["top"] - 0.25 * max(box["width"], box["height"]))
    assert np.array_equal(crop, np.asarray(picture)[top : top + len(crop), left : left + crop.shape[1]])
    assert crop.shape[0] > box["height"] + 20
    assert crop[0].min() == crop[-1].min() == crop[:, 0].min() == crop[:, -1].min() == 240
    values = visit.neurons(1)
    visit.page.reload()
    visit.settled()
    give(visit, base64.b64decode(encoded))
    assert visit.neurons(1) == values


def test_lines_are_read_line_by_line_and_arrow_keys_go_from_one_to_the_next(visit: Visit, server: Server):
    """To the nearest digit above or below; Home and End; a mouse puts any of them into the network."""
    visit.choose(BEST)
    give(visit, file_of(drawn("1 27", "4305")))
    assert text(visit) == ["127", "4305"]
    scores = [line["score"] for line in read_by(server, **asked(visit, "Read")[-1])["lines"]]
    expect(reading(visit).locator(".lines small")).to_have_text([f"{100 * score:.1f} %" for score in scores])
    expect(visit.page.locator("#read")).to_have_text("The picture shows 7 digits in 2 lines: 127, 4305.")
    boxes(visit).first.focus()
    for key, place in (("End", 6), ("ArrowUp", 2), ("ArrowLeft", 1), ("ArrowDown", 5), ("Home", 0), ("ArrowLeft", 0)):
        visit.page.keyboard.press(key)
        expect(boxes(visit).nth(place)).to_be_focused()
    boxes(visit).nth(5).click()
    visit.says("0")


def test_a_picture_that_is_one_digit_after_all_goes_to_the_network_whole(visit: Visit):
    """By a button; then it is not read again by another model."""
    data = file_of(drawn("72"))
    give(visit, data)
    reading(visit).get_by_role("button", name="It is one digit").click()
    expect(reading(visit)).to_be_hidden()
    visit.settled()
    assert base64.b64decode(asked(visit, "Classify")[-1]["encodedImages"][0]) == data
    expect(visit.page.locator("#warnings")).to_contain_text("The picture shows several marks")
    expect(visit.page.locator("#pad")).to_be_focused()
    visit.choose(BEST)
    assert len(asked(visit, "Read")) == 1


def test_another_model_reads_the_picture_anew_and_other_ink_puts_it_away(visit: Visit):
    """The digit that is looked at stays; a sample, or Clear, ends it."""
    give(visit, file_of(drawn("72")))
    boxes(visit).last.click()
    visit.says("2")
    visit.choose(BEST)
    expect(reading(visit).locator(".note")).to_contain_text("by mnist-large 1")
    assert [each["model"] for each in asked(visit, "Read")] == ["mnist-16x16", "mnist-large"]
    visit.says("2")
    expect(boxes(visit).last).to_have_attribute("aria-pressed", "true")
    visit.clear()
    expect(reading(visit)).to_be_hidden()
    give(visit, file_of(drawn("72")))
    visit.page.get_by_role("button", name="Draw a 4").click()
    expect(reading(visit)).to_be_hidden()
    visit.says("4")


def test_marks_that_are_no_digits_are_shown_as_such(visit: Visit):
    """In the text, on their boxes and, once chosen, beside the network."""

    def reject(answer: dict) -> None:
        answer["lines"][0]["text"] = answer["text"] = "7?"
        answer["lines"][0]["digits"][1]["prediction"] |= {"notADigit": 0.9, "rejected": True}

    visit.change("Read", reject)
    give(visit, file_of(drawn("72")))
    assert text(visit) == ["7?"]
    expect(boxes(visit).last).to_contain_text("?")
    expect(boxes(visit).last).to_have_accessible_name(re.compile("^digit 2: no digit, most like 2, "))
    expect(boxes(visit).first).not_to_contain_text("?")


def test_a_picture_whose_reading_broke_off_is_read_when_the_server_is_back(
    visits: Callable[..., Visit], server: Server
):
    """By itself."""
    with between(server) as machine:
        visit = visits().open(machine)
        machine.cut = f"{CALL}Read"
        visit.give("paste", file_of(drawn("72")))
        expect(visit.page.locator("#banner")).to_contain_text("The server does not answer", timeout=PATIENCE)
        machine.cut = ""
        visit.says("7")
        assert text(visit) == ["72"]
        expect(visit.page.locator("#banner")).to_be_hidden()


@pytest.mark.parametrize("visitor", ["dark", "light", "phone", "narrow"])
def test_readings_are_for_everyone_on_every_screen(visits: Callable[..., Visit], server: Server, visitor: str):
    """axe finds nothing serious, nothing needs scrolling sideways, labels do not cover one another."""
    options = {
        "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
        "narrow": {"viewport": {"width": 320, "height": 700}},
    }
    visit = visits(**options.get(visitor, {"color_scheme": visitor})).open(server)
    give(visit, file_of(drawn("73527", "35273")))
    assert len(text(visit)) == 2
    visit.page.locator("h1").hover()
    labels = [edges(each) for each in boxes(visit).locator("span").all()]
    for (_, top, right, _), (left, other, _, _) in pairwise(labels):
        assert right <= left or abs(top - other) > 20
    found = Axe().run(visit.page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    assert visit.page.evaluate("document.documentElement.scrollWidth - document.body.offsetWidth") <= 0
    origin = f"http://127.0.0.1:{server.http_port}/"
    assert {request.url[: len(origin)] for request in visit.requests} == {origin}
    visit.no_errors()
