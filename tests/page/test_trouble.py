"""Trouble: a server that is short of time, answers that break off, and what is refused."""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from artifact.store import find_versions
from tests.page.faulty_proxy import between
from tests.page.page_driver import CALL, PATIENCE, Visit
from tests.support.server import MODELS, Server, StartServer


def calls(visit: Visit, method: str) -> int:
    """How often the page has called it."""
    return sum(request.url.endswith(CALL + method) for request in visit.requests)


def well(page: Page) -> None:
    expect(page.locator("html")).to_have_attribute("data-server", "well", timeout=PATIENCE)


def noise(side: int) -> bytes:
    """A PNG of colours that nothing makes smaller."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_client_that_may_call_seldom_gets_its_page_and_waits_as_long_as_it_is_told(
    visits: Callable[..., Visit], start_server: StartServer
):
    """Five calls a second: it connects, answers, and names all versions in time; it calls no sooner than it may."""
    server = start_server("--client-rate=5", models=MODELS)
    visit = visits()
    told: list[tuple[float, float]] = []
    called: list[float] = []
    visit.page.on("request", lambda request: CALL in request.url and called.append(time.monotonic()))
    visit.page.on(
        "response",
        lambda response: (
            response.status == 429 and told.append((time.monotonic(), float(response.headers["retry-after"])))
        ),
    )
    visit.open(server)
    visit.page.get_by_role("button", name="Draw a 7").click()
    visit.says("7")
    visit.settled()
    versions = len(find_versions(MODELS))
    expect(visit.page.locator("optgroup option", has_text=re.compile(r"%$"))).to_have_count(versions, timeout=PATIENCE)
    expect(visit.page.locator("#banner")).to_be_hidden()
    assert told
    for at, wait in told:  # what is on its way when the answer comes cannot be held back
        assert not [call for call in called if at + 0.2 < call < at + wait - 0.2]


@pytest.mark.parametrize("method", ["ListModels", "GetModel", "GetNetwork", "Classify"])
def test_answers_that_break_off_are_none_and_are_asked_for_again(
    visits: Callable[..., Visit], server: Server, method: str
):
    """At the start; the page says so, and goes on by itself when answers are whole."""
    with between(server) as machine:
        machine.cut = CALL + method
        visit = visits()
        visit.page.goto(f"http://127.0.0.1:{machine.http_port}/")
        expect(visit.page.locator("#banner")).to_contain_text("The server does not answer", timeout=PATIENCE)
        assert machine.cuts > 0
        machine.cut = ""
        well(visit.page)
        visit.says("3")
        expect(visit.page.locator("#banner")).to_be_hidden()
        # The picture of the first layer needs its weights.
        expect(visit.page.locator(".gallery")).to_be_visible()


def test_a_drawing_whose_answer_broke_off_is_asked_again(visits: Callable[..., Visit], server: Server):
    """Without a stroke more: here it comes all at once, as for those who want no motion."""
    with between(server) as machine:
        visit = visits(reduced_motion="reduce").open(machine)
        machine.cut = CALL + "Classify"
        visit.page.get_by_role("button", name="Draw a 7").click()
        expect(visit.page.locator("#banner")).to_contain_text("The server does not answer", timeout=PATIENCE)
        assert visit.page.locator("html").get_attribute("data-busy") == "yes"
        machine.cut = ""
        visit.says("7")
        expect(visit.page.locator("#banner")).to_be_hidden()


def test_test_digits_that_broke_off_are_fetched_again(visits: Callable[..., Visit], server: Server):
    """Those of the model's tab, which are a file of the page."""
    with between(server) as machine:
        machine.cut = "/examples/mnist.gz"
        visit = visits()  # which is well for moments only, so that is not waited for
        visit.page.goto(f"http://127.0.0.1:{machine.http_port}/#card")
        expect(visit.page.locator("#banner")).to_contain_text("The server does not answer", timeout=PATIENCE)
        machine.cut = ""
        expect(visit.page.locator(".worst button")).to_have_count(12)


def test_a_large_image_is_sent_smaller(visit: Visit):
    """A photograph of many megabytes goes as one of some hundred kilobytes."""
    photograph = noise(2200)
    assert len(photograph) > 14_000_000
    before = calls(visit, "Classify")
    visit.give("paste", photograph)
    visit.page.wait_for_function("() => document.querySelector('#pad-hint').hidden")
    expect(visit.verdict).not_to_have_text("3")
    visit.settled()
    sent = [request for request in visit.requests if request.url.endswith("/Classify")][-1]
    assert calls(visit, "Classify") == before + 1
    assert len(sent.post_data_buffer) < 3_000_000
    expect(visit.page.locator("#banner")).to_be_hidden()


def test_what_is_over_a_limit_is_asked_once_and_the_refusal_goes_with_the_next_answer(
    visits: Callable[..., Visit], start_server: StartServer
):
    """RESOURCE_EXHAUSTED without a time to come again is no reason to come again."""
    server = start_server("--max-image-megapixels=1", "--max-message-mb=1")
    visit = visits().open(server)
    before = calls(visit, "Classify")
    visit.give("paste", noise(1100))
    banner = visit.page.locator("#banner")
    expect(banner).to_contain_text("The server refused")
    visit.page.wait_for_timeout(3000)
    assert calls(visit, "Classify") == before + 1
    visit.page.get_by_role("button", name="Draw a 4").click()
    visit.says("4")
    expect(banner).to_be_hidden()


def test_an_address_without_metrics_says_so_in_its_tab_alone(visits: Callable[..., Visit], server: Server):
    """As behind a balancer, which answers /metrics by a 404 of its own; the other tabs are as ever."""
    with between(server) as machine:
        machine.absent = "/metrics"
        visit = visits().open(machine)
        visit.page.get_by_role("tab", name="The service").click()
        tab = visit.page.get_by_role("tabpanel", name="The service")
        expect(tab).to_contain_text("This address does not show metrics (404)")
        expect(tab.locator(".chart").first).to_be_hidden()
        expect(visit.page.locator("#banner")).to_be_hidden()
        visit.page.wait_for_timeout(2500)
        assert sum(request.url.endswith("/metrics") for request in visit.requests) == 1
        visit.page.get_by_role("tab", name="Draw").click()
        visit.page.get_by_role("button", name="Draw a 7").click()
        visit.says("7")
        expect(visit.page.locator("#status")).to_have_text("Connected")
        machine.absent = ""
        visit.page.get_by_role("tab", name="The service").click()
        expect(visit.page.get_by_role("figure", name="Images scored").locator(".now")).to_have_text("0/s")


def test_a_token_that_no_header_can_carry_is_refused_in_the_dialog(
    visits: Callable[..., Visit], start_server: StartServer, tmp_path: Path
):
    """It stays open and says why; the right token is taken then."""
    file = tmp_path / "tokens"
    file.write_text("anna: anna-anna-anna-anna\n")
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens")
    visit = visits()
    visit.page.goto(f"http://127.0.0.1:{server.http_port}/")
    dialog = visit.page.get_by_role("dialog", name="This server asks who calls")
    for token in ("anna-anna-anna-änna", "анна-анна-анна-анна"):
        dialog.get_by_label("Token").fill(token)
        dialog.get_by_label("Token").press("Enter")
        expect(dialog).to_contain_text("none but the letters, digits and signs of ASCII")
    dialog.get_by_label("Token").fill("anna-anna-anna-anna")
    dialog.get_by_role("button", name="Use it").click()
    expect(visit.page.locator("#status")).to_have_text("Connected")
