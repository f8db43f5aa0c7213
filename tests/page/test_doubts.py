"""What a network doubts of its own answer, and what its card says of that."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.json_format import ParseDict
from playwright.sync_api import Locator, Route, expect

from artifact.card import Card
from artifact.prediction_sets import COVERAGES
from tests.page.page_driver import PATIENCE, Visit
from tests.support.server import MODELS, Server, StartServer

CHOICES = (0.9, 0.95, 0.99, 0.999)
NONE = "\u00a0"
W = [[[10, 15], [30, 85], [50, 30], [70, 85], [90, 15]]]


@pytest.fixture(scope="module")
def models(committee: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committee, whose card has thresholds, and a network without thresholds."""
    both = tmp_path_factory.mktemp("models")
    shutil.copytree(committee, both, dirs_exist_ok=True)
    shutil.copytree(MODELS / "digits-8x8", both / "digits-8x8")
    return both


@pytest.fixture
def both(start_server: StartServer, models: Path) -> Server:
    return start_server("--default-model=tiny", models=models)


def begin(visit: Visit, server: Server, tab: str = "draw") -> Visit:
    """Go there; unlike `Visit.open` whatever the committee says of the first digit."""
    visit.page.goto(f"http://127.0.0.1:{server.http_port}/#{tab}")
    expect(visit.page.locator("html")).to_have_attribute("data-server", "well")
    if tab == "draw":
        expect(visit.verdict).to_have_count(1)
        visit.settled()
    return visit


def hold(visit: Visit, of: str) -> list[Route]:
    """Keep the calls of an RPC from the server; they come to this list."""
    held: list[Route] = []
    visit.page.route(f"**/{of}", lambda route: held.append(route))
    return held


def arrived(visit: Visit, held: list[Route], count: int) -> None:
    """Wait until so many calls are held."""
    deadline = time.monotonic() + PATIENCE / 1000
    while len(held) < count and time.monotonic() < deadline:
        visit.page.wait_for_timeout(10)
    assert len(held) == count


def coverage(visit: Visit) -> Locator:
    return visit.page.get_by_label("Coverage, first network")


def named(visit: Visit) -> Locator:
    """The classes that cannot be ruled out, as the page names them."""
    return visit.page.locator(".doubts strong")


def asked(visit: Visit) -> list[dict]:
    """The questions so far."""
    return [request.post_data_json for request in visit.requests if request.url.endswith("/Classify")]


def test_the_classes_that_cannot_be_ruled_out_are_named_at_the_coverage_chosen(
    visits: Callable[..., Visit], both: Server, models: Path
):
    """Best score first, those that the card's thresholds leave; the usual coverage is 0.99, the keyboard does too."""
    visit = begin(visits(), both)
    thresholds = Card.from_json((models / "tiny" / "1" / "card.json").read_text()).thresholds
    answer = visit.answer_to(lambda: visit.draw("5"))
    expect(coverage(visit)).to_have_value("0.99")
    for choice in (0.99, 0.9, 0.95, 0.999):
        if choice != 0.99:
            answer = visit.answer_to(lambda choice=choice: coverage(visit).select_option(str(choice)))
        assert asked(visit)[-1]["coverage"] == choice
        [prediction] = ParseDict(answer, pb.ClassifyResponse()).predictions
        least = 1 - thresholds[COVERAGES.index(choice)]
        left = sorted((-score, digit) for digit, score in enumerate(prediction.scores) if score >= least)
        expect(named(visit)).to_have_text(", ".join(str(digit) for _, digit in left))
    coverage(visit).focus()
    answer = visit.answer_to(lambda: visit.page.keyboard.press("ArrowUp"))
    expect(coverage(visit)).to_have_value("0.99")
    assert asked(visit)[-1]["coverage"] == 0.99
    names = ", ".join(map(str, answer["predictions"][0]["candidates"]))
    expect(named(visit)).to_have_text(names)
    expect(visit.page.locator("#said")).to_contain_text(f", cannot be ruled out: {names}")
    visit.clear()
    expect(named(visit)).to_have_text(NONE)
    visit.no_errors()


def test_where_no_class_is_left_the_page_says_what_that_means(visits: Callable[..., Visit], both: Server):
    """A word for it instead of an empty list; one class alone is named, and not read aloud once more."""
    visit = visits()
    left: list[int] = []
    visit.change("Classify", lambda answer: answer["predictions"][0].update(candidates=left))
    begin(visit, both)
    expect(named(visit)).to_have_text("none, less typical than 99 % of digits")
    expect(visit.page.locator("#said")).to_contain_text("cannot be ruled out: none, less typical")
    coverage(visit).select_option("0.999")
    expect(named(visit)).to_have_text("none, less typical than 99.9 % of digits")
    left.append(7)
    coverage(visit).select_option("0.9")
    expect(named(visit)).to_have_text("7")
    expect(visit.page.locator("#said")).not_to_contain_text("ruled out")
    visit.no_errors()


def test_an_answer_is_not_shown_for_another_coverage_than_it_was_asked_for(visits: Callable[..., Visit], both: Server):
    """Nothing is named from the choice until its own answer is here, nor when an earlier one comes late."""
    visit = begin(visits(), both)
    held = hold(visit, "Classify")
    visit.page.get_by_role("button", name="Draw a 7").click()
    arrived(visit, held, 1)
    coverage(visit).select_option("0.9")
    expect(named(visit)).to_have_text(NONE)
    held[0].continue_()
    arrived(visit, held, 2)
    assert [route.request.post_data_json["coverage"] for route in held] == [0.99, 0.9]
    visit.page.wait_for_timeout(100)
    expect(named(visit)).to_have_text(NONE)
    held[1].continue_()
    expect(named(visit)).not_to_have_text(NONE)


def test_a_model_without_thresholds_is_asked_for_no_coverage(visits: Callable[..., Visit], both: Server):
    """Nothing of it is shown; nor is it asked for while its card is still on its way."""
    visit = begin(visits(), both)
    answer = visit.answer_to(lambda: coverage(visit).select_option("0.95"))
    assert answer["predictions"][0]["candidates"]
    before = len(asked(visit))
    held = hold(visit, "GetModel")
    visit.page.locator(".panel select").first.select_option("digits-8x8 1")
    visit.page.get_by_role("button", name="Draw a 7").click()
    arrived(visit, held, 2)  # the choice wants the card, and so does an answer by another model than the one shown
    visit.page.unroute("**/GetModel")  # which lets them go
    expect(visit.page.locator(".about")).to_contain_text("64-64")
    visit.settled()
    since = asked(visit)[before:]
    assert {each["model"] for each in since} == {"digits-8x8"}
    assert not any("coverage" in each for each in since)
    expect(visit.page.locator(".doubts p:visible")).to_have_count(0)
    visit.page.locator(".panel select").first.select_option("tiny 1")
    expect(named(visit)).not_to_have_text(NONE)
    assert asked(visit)[-1]["coverage"] == 0.95
    visit.no_errors()


def test_an_image_that_is_no_digit_is_told_of(visits: Callable[..., Visit], both: Server):
    """Above a chance of 0.6, in place of the digit and aloud; the chance itself always."""
    visit = visits()
    chance = {"notADigit": 0.031}
    visit.change("Classify", lambda answer: answer["predictions"][0].update(chance))
    begin(visit, both)
    shown, sentence = visit.page.locator(".chance"), visit.page.locator("#warnings")
    expect(shown).to_have_text("No digit3.1 %")
    expect(sentence).to_have_text(NONE)
    for value, text in ((0.6, "60.0 %"), (0.601, "60.1 %"), (0, "0.0 %"), (0.987, "98.7 %")):
        chance["notADigit"] = value
        visit.draw("1")
        expect(shown.locator(".score")).to_have_text(text)
        rejected = value > 0.6
        expect(sentence).to_have_text("This is no digit." if rejected else NONE)
        expect(visit.verdict).to_have_text("No digit" if rejected else re.compile(r"^\d$"))
        width, whole = (shown.locator(each).bounding_box()["width"] for each in (".bar", ".track"))
        assert width == pytest.approx(value * whole, abs=1)
        said = visit.page.locator("#said")
        (expect(said).to_contain_text if rejected else expect(said).not_to_contain_text)("but this is no digit")
    visit.clear()
    expect(shown).to_have_text("No digit")
    expect(sentence).to_have_text(NONE)
    visit.no_errors()


def test_a_letter_is_found_to_be_no_digit(visits: Callable[..., Visit], both: Server):
    """By the network itself, whose very chance is shown; a model that cannot tell says nothing of it."""
    visit = begin(visits(), both)
    visit.clear()
    answer = visit.answer_to(lambda: visit.draw_strokes(W))
    chance = answer["predictions"][0]["notADigit"]
    assert chance > 0.6
    expect(visit.page.locator(".chance .score")).to_have_text(f"{100 * chance:.1f} %")
    expect(visit.page.locator("#warnings")).to_have_text("This is no digit.")
    visit.page.locator(".panel select").first.select_option("digits-8x8 1")
    expect(visit.page.locator("#warnings")).to_have_text(NONE)
    expect(visit.page.locator(".chance")).to_be_hidden()
    visit.no_errors()


def test_the_card_shows_how_far_scores_are_chances(visits: Callable[..., Visit], both: Server, models: Path):
    """A dot for each bin that has images, where its score and its share are, and all of them in a table."""
    visit = begin(visits(), both, "card")
    card = Card.from_json((models / "tiny" / "1" / "card.json").read_text())
    full = [each for each in card.reliability if each.images]
    assert len(full) > 3
    diagram = visit.page.locator(".reliability")
    dots = diagram.locator("circle")
    expect(dots).to_have_count(len(full))
    ends = diagram.locator(".even").get_attribute("d").lstrip("M").replace("L", " ").split()
    left, bottom, right, top = map(float, ends)
    for dot, each in zip(dots.all(), full, strict=True):
        x, y = (float(dot.get_attribute(name)) for name in ("cx", "cy"))
        assert (x - left) / (right - left) == pytest.approx(each.mean_score, abs=1e-6)
        assert (bottom - y) / (bottom - top) == pytest.approx(each.accuracy, abs=1e-6)
    sizes = [float(dot.get_attribute("r")) for dot in dots.all()]
    images = [each.images for each in full]
    assert [a > b for a in sizes for b in sizes] == [a > b for a in images for b in images]
    picture = visit.page.get_by_role("img", name="Share right against best score.")
    assert f"Calibration error {100 * card.calibration_error:.2f} %" in picture.get_attribute("aria-label")
    visit.page.get_by_text("The same in numbers").press("Enter")
    rows = visit.page.locator("details .figures tbody tr").all_inner_texts()
    assert [row.split("\t") for row in rows] == [
        [f"{100 * each.mean_score:.1f} %", f"{100 * each.accuracy:.1f} %", str(each.images)] for each in full
    ]
    visit.no_errors()


def test_the_card_says_what_a_model_tells_digits_from(visits: Callable[..., Visit], both: Server, models: Path):
    """The area under the curve by kind of image, that of all together first."""
    visit = begin(visits(), both, "card")
    areas = dict(Card.from_json((models / "tiny" / "1" / "card.json").read_text()).outlier_auc)
    assert len(areas) > 2
    rows = visit.page.get_by_role("table", name="The area under the curve").locator("tbody tr")
    first = f"all that it learned from{areas.pop('all'):.4f}"
    expect(rows).to_have_text([first, *(f"{kind}{area:.4f}" for kind, area in sorted(areas.items()))])
    visit.no_errors()


def test_a_card_that_says_nothing_of_that_shows_nothing_of_it(visit: Visit):
    """No empty boxes, and nothing beside the scores."""
    visit.choose("mnist-16x16 2")
    expect(visit.page.locator(".doubts p:visible")).to_have_count(0)
    visit.page.get_by_role("tab", name="The model").click()
    expect(visit.page.locator(".worst button")).to_have_count(12)
    expect(visit.page.locator("#view-card .box")).to_have_count(3)


@pytest.mark.parametrize("visitor", ["dark", "light", "phone", "narrow"])
def test_doubts_are_for_everyone_on_every_screen(visits: Callable[..., Visit], both: Server, visitor: str):
    """axe finds nothing serious, nothing needs scrolling sideways, nothing jumps when they change."""
    options = {
        "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
        "narrow": {"viewport": {"width": 320, "height": 700}},
    }
    visit = visits(**options.get(visitor, {"color_scheme": visitor}))
    left = [[], list(range(10)), [4]]
    visit.change(
        "Classify",
        lambda answer: answer["predictions"][0].update(candidates=left[len(asked(visit)) % 3], notADigit=0.9),
    )
    begin(visit, both)
    heights = set()
    for choice in (*CHOICES, *CHOICES):
        coverage(visit).select_option(str(choice))
        visit.settled()
        heights.add(visit.page.locator(".doubts").bounding_box()["height"])
    assert len(heights) == 1
    for tab in ("draw", "card"):
        visit.page.locator(f"#tab-{tab}").click()
        if tab == "card":
            visit.page.get_by_text("The same in numbers").click()
        found = Axe().run(visit.page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        assert visit.page.evaluate("document.documentElement.scrollWidth - document.body.offsetWidth") <= 0
    visit.no_errors()


def test_nothing_is_said_of_doubts_before_a_card_is_here(visits: Callable[..., Visit], both: Server):
    """It might be the card of a model that has none."""
    visit = visits()
    held = hold(visit, "GetModel")
    visit.page.goto(f"http://127.0.0.1:{both.http_port}/#draw")
    arrived(visit, held, 1)
    expect(visit.page.locator(".doubts p:visible")).to_have_count(0)


def test_nothing_jumps_when_a_model_comes_that_has_doubts(visits: Callable[..., Visit], both: Server):
    """Their room is there before its card is, and stays when a model comes that has none."""
    visit = visits()
    visit.page.add_init_script("""
      window.shift = 0;
      new PerformanceObserver(list => { for (const each of list.getEntries()) window.shift += each.value; })
        .observe({type: "layout-shift", buffered: true});
    """)
    begin(visit, both)
    visit.draw("8")
    assert visit.page.evaluate("window.shift") < 0.02
    inspector = visit.page.locator(".inspector")
    before = inspector.bounding_box()
    visit.page.locator(".panel select").first.select_option("digits-8x8 1")
    expect(visit.page.locator(".doubts p:visible")).to_have_count(0)
    assert inspector.bounding_box() == before
