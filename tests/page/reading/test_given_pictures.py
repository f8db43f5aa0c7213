"""What preparation made of a picture, and pictures that are odd in some way."""

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import expect

from tests.page.page_driver import Visit
from tests.page.reading.pictures import CELL, asked, boxes, drawn, edges, file_of, give, reading, text


def test_what_looks_wrong_is_said_in_sentences(visit: Visit):
    """Of the picture beside it, of the one digit beside what the network makes of it; unknown codes too."""
    visit.change("Read", lambda answer: answer.update(warnings=["the paper is wet"], warningCodes=["wet"]))
    visit.change("Classify", lambda answer: answer["predictions"][0].update(warnings=["all is upside down."]))
    give(visit, file_of(drawn("72")))
    expect(reading(visit).locator(".warnings")).to_have_text("The paper is wet.")
    expect(visit.page.locator("#warnings")).to_have_text("All is upside down.")


def test_what_was_taken_off_is_seen(visit: Visit):
    """The picture with its lines, the pixels that the network got without them, and the sentence."""
    picture = drawn("7")
    pen = ImageDraw.Draw(picture)
    for y in (50, 100):
        pen.line((0, y, CELL, y), fill=90, width=2)
    answer = visit.answer_to(lambda: give(visit, file_of(picture)))
    expect(visit.page.locator("#warnings")).to_have_text(
        "Lines across the picture were taken off before it was classified."
    )
    expect(reading(visit)).to_be_hidden()
    given, got = (visit.page.get_by_role("img", name=name) for name in ("as it was given", "that the network got"))
    pixels = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    shown = np.array(given.evaluate(pixels)).reshape(280, 280, 4)[:, :, 0]
    assert abs(shown - np.asarray(picture.resize((280, 280)), float)).mean() < 4
    values = answer["predictions"][0]["activations"][0]["values"]
    assert np.array_equal(np.array(got.evaluate(pixels)).reshape(784, 4)[:, 0], values)
    expect(visit.page.locator("#prepared small")).to_have_text(["160 × 160 pixels", "28 × 28 pixels"])
    visit.page.locator(".panel select").first.select_option("digits-8x8 1")
    expect(visit.page.locator("#prepared small").last).to_have_text("8 × 8 pixels")
    visit.draw("1")
    expect(visit.page.locator("#prepared")).to_be_hidden()


def test_a_picture_of_one_digit_is_as_before(visit: Visit, seven: Path):
    """It is read, but not shown as a text; one of the network's own size is not even read."""
    give(visit, seven.read_bytes())
    visit.says("7")
    expect(reading(visit)).to_be_hidden()
    assert len(asked(visit, "Read")) == 1
    give(visit, file_of(drawn("72").resize((28, 28))))
    assert len(asked(visit, "Read")) == 1


def test_a_blank_picture_shows_no_digit(visit: Visit):
    """In place of the digit; the next picture has one again."""
    give(visit, file_of(Image.new("L", (300, 150), 250)))
    expect(visit.verdict).to_have_text("No digit")
    expect(visit.page.locator("#warnings")).to_have_text("The image is blank: no ink was found.")
    expect(reading(visit)).to_be_hidden()
    expect(visit.page.locator("#said")).to_contain_text("but this is no digit")
    give(visit, file_of(drawn("7")))
    visit.says("7")


def test_a_broken_file_is_told_of_and_the_picture_before_stays(visit: Visit):
    """Half a PNG, which the browser cannot read; and what the server refuses to read is classified as one."""
    give(visit, file_of(drawn("72")))
    visit.give("paste", b"\x89PNG\r\n\x1a\n" + bytes(40))
    expect(visit.page.locator("#banner")).to_contain_text("is no image that this browser can read")
    assert text(visit) == ["72"]
    visit.page.route(
        "**/Read",
        lambda route: route.fulfill(status=400, json={"code": "invalid_argument", "message": "too many marks"}),
    )
    give(visit, file_of(drawn("7")))
    visit.says("7")
    expect(visit.page.locator("#warnings")).to_have_text("The picture was not read: too many marks.")
    visit.errors.clear()  # the browser tells of the status


@pytest.mark.parametrize("how", ["on its side", "by EXIF", "large"])
def test_boxes_fit_pictures_that_are_turned_or_sent_smaller(visit: Visit, how: str):
    """The picture is shown upright, and the part in each box is the digit that was read there."""
    picture = drawn("7352")
    if how == "on its side":
        data = file_of(picture.transpose(Image.Transpose.ROTATE_90))
    elif how == "by EXIF":
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise
        data = file_of(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    else:
        noise = np.random.default_rng(0).integers(-9, 10, (1200, 4800))
        large = np.asarray(picture.resize((4800, 1200)), int) + noise
        data = file_of(Image.fromarray(large.clip(0, 255).astype(np.uint8)))
    visit.choose("mnist-committee 2")
    give(visit, data)
    assert text(visit) == ["7352"]
    sent = asked(visit, "Read")[-1]["encodedImage"]
    assert (base64.b64decode(sent) == data) == (how != "large")
    expect(reading(visit).locator(".note")).to_contain_text(
        "turned upright" if how == "on its side" else "by mnist-committee 2"
    )
    left, _, right, _ = edges(reading(visit).get_by_role("img", name="The picture"))
    for place, digit in enumerate("7352"):
        start, _, end, _ = edges(boxes(visit).nth(place))
        assert place <= 4 * (start - left) / (right - left) < 4 * (end - left) / (right - left) <= place + 1
        boxes(visit).nth(place).click()
        visit.says(digit)
        visit.settled()
