"""Good manners: for everyone, on every screen, under a strict policy, and when the server is gone."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Route, expect

from tests.page.page_driver import PATIENCE, Visit
from tests.support.server import Server, StartServer

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
LESSONS = {"learning": ".mistakes", "training": ".weight", "neurons": ".layers[data-whole]"}
"""The tabs whose program is fetched when they are looked at, each with what is there once it is whole."""
TABS = ["draw", *LESSONS, "card", "live"]
VISITORS = {"dark": {"color_scheme": "dark"}, "light": {"color_scheme": "light"}, "phone": PHONE}
TOKEN = "anna-anna-anna-anna"


def whole(visit: Visit, tab: str) -> None:
    """Wait until a tab shows all that it has."""
    if tab == "card":
        expect(visit.page.locator(".worst button")).to_have_count(12)
    if tab in LESSONS:
        expect(visit.page.locator(f"#view-{tab} {LESSONS[tab]}")).to_be_visible()


def explain(visit: Visit) -> None:
    """Show why the network says what it says, and a small change."""
    visit.page.get_by_label("Why", exact=True).check()
    visit.page.get_by_role("button", name="Find a small change").click()
    expect(visit.page.locator(".why")).to_contain_text("changed, and it says")


@pytest.mark.parametrize("visitor", VISITORS)
def test_axe_finds_nothing_serious(visits: Callable[..., Visit], server: Server, visitor: str):
    """On every tab, two models side by side, a neuron looked at, the answer explained."""
    visit = visits(**VISITORS[visitor]).open(server)
    explain(visit)
    visit.page.get_by_label("Two models side by side").check()
    visit.says("3", "3")
    visit.page.locator('[aria-label^="Hidden layer 1, neuron 2:"]').first.click()
    for tab in TABS:
        visit.page.locator(f"#tab-{tab}").click()
        whole(visit, tab)
        found = Axe().run(visit.page).response["violations"]
        serious = [
            (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], tab
    visit.no_errors()


def test_the_policy_holds_and_nothing_is_asked_of_others(visits: Callable[..., Visit], server: Server):
    """No breach of the content security policy on any tab, one origin, few bytes; a script slipped in does not run."""
    visit = visits().open(server)
    origin = f"http://127.0.0.1:{server.http_port}/"
    for tab in ("live", "card"):
        visit.page.locator(f"#tab-{tab}").click()
    whole(visit, "card")
    assert fetched(visit, server) < 290_000
    for tab in LESSONS:
        visit.page.locator(f"#tab-{tab}").click()
        whole(visit, tab)
    assert fetched(visit, server) < 700_000
    visit.no_errors()
    assert {request.url[: len(origin)] for request in visit.requests} == {origin}

    def slip_in(route: Route) -> None:
        response = route.fetch()
        body = response.text().replace("</body>", "<script>window.inline = true</script></body>")
        route.fulfill(response=response, body=body)

    visit.page.route(origin, slip_in)
    visit.page.goto(origin)
    expect(visit.page.locator("#status")).to_have_text("Connected")
    assert visit.page.evaluate("window.inline") is None
    assert "inline" in visit.errors[0]


def fetched(visit: Visit, server: Server) -> int:
    """Bytes of the page's files that the browser asked for."""
    paths = {urlsplit(request.url).path for request in visit.requests}
    return sum(len(server.http(path)[2]) for path in paths if "DigitsService" not in path and "metrics" not in path)


@pytest.mark.parametrize("tab", TABS)
def test_a_phone_needs_no_scrolling_sideways(visits: Callable[..., Visit], server: Server, tab: str):
    """And a finger draws: here a 1, by touch."""
    visit = visits(**PHONE).open(server, tab)
    if tab == "draw":
        explain(visit)
        visit.page.get_by_label("Two models side by side").check()
        visit.says("3", "3")
        visit.clear()
        box = visit.page.locator("#pad").bounding_box()
        touch = visit.page.context.new_cdp_session(visit.page)
        x, y, side = box["x"] + box["width"] / 2, box["y"], box["height"]
        points = [{"x": x, "y": y + side * (0.15 + 0.07 * step)} for step in range(11)]
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
        for point in points[1:]:
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        visit.says("1", "1")
    whole(visit, tab)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.no_errors()


def test_a_page_of_320_pixels_needs_no_scrolling_sideways(visits: Callable[..., Visit], server: Server):
    """A window of 1280 enlarged four times (WCAG 2.2, 1.4.10), of which a scroll bar may take some."""
    visit = visits(viewport={"width": 320, "height": 256}).open(server)
    sideways = "document.documentElement.scrollWidth - document.body.offsetWidth"
    assert visit.page.evaluate(sideways) <= 0
    explain(visit)
    visit.page.get_by_label("Two models side by side").check()
    visit.says("3", "3")
    for tab in TABS:
        visit.page.locator(f"#tab-{tab}").click()
        whole(visit, tab)
        assert visit.page.evaluate(sideways) <= 0, tab


def test_without_javascript_the_page_says_so_and_shows_nothing_dead(browser: Browser, server: Server):
    """One sentence under the title, and no button."""
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.http_port}/")
        assert (
            page.locator("body").inner_text().split("\n")[-1].startswith("This page draws the network with JavaScript")
        )
        assert page.locator("body").bounding_box()["height"] < 250
        for button in page.locator("button").all():
            expect(button).to_be_hidden()


def test_the_address_names_the_tab_at_any_time(visit: Visit):
    """A fragment that is typed or linked to later is followed; one that is no tab's leads to the first."""
    for fragment, shown in (("live", "live"), ("card", "card"), ("nothing", "draw")):
        visit.page.evaluate(f"location.hash = '{fragment}'")
        expect(visit.page.locator(f"#view-{shown}")).to_be_visible()
        expect(visit.page.locator("[role=tabpanel]:visible")).to_have_count(1)
        expect(visit.page.locator(f"#tab-{shown}")).to_have_attribute("aria-selected", "true")


def test_nothing_jumps(visits: Callable[..., Visit], server: Server):
    """From the first paint on, while it draws, and while a neuron is looked at: hardly any layout shift."""
    visit = visits()
    visit.page.add_init_script("""
      window.shift = 0;
      new PerformanceObserver(list => { for (const each of list.getEntries()) window.shift += each.value; })
        .observe({type: "layout-shift", buffered: true});
    """)
    visit.open(server)
    visit.page.locator('[aria-label^="Hidden layer 1, neuron 2:"]').first.hover()
    visit.page.get_by_role("button", name="Draw a 8").click()
    visit.says("8")
    visit.clear()
    assert visit.page.evaluate("window.shift") < 0.02


def test_a_server_that_goes_and_comes_back_is_told_of_and_used_again(
    visits: Callable[..., Visit], start_server: StartServer
):
    """Clear words while it is gone; what was drawn meanwhile is answered when it is back, by itself."""
    server = start_server()
    visit = visits().open(server)
    server.end()
    banner = visit.page.locator("#banner")
    expect(banner).to_contain_text("The server does not answer", timeout=PATIENCE)
    expect(visit.page.locator("#status")).to_have_text("Server gone")
    visit.page.get_by_role("button", name="Draw a 2").click()
    again = start_server(f"--http-port={server.http_port}")
    assert again.http_port == server.http_port
    visit.says("2")
    expect(banner).to_be_hidden()
    expect(visit.page.locator("#status")).to_have_text("Connected")


def test_a_server_that_wants_tokens_is_given_one(
    visits: Callable[..., Visit], start_server: StartServer, tmp_path: Path
):
    """The page itself comes without; a wrong token is told of; the right one is kept while the tab is open."""
    file = tmp_path / "tokens"
    file.write_text(f"anna: {TOKEN}\n")
    server = start_server(f"--token-file={file}", "--allow-plaintext-tokens")
    visit = visits()
    visit.page.goto(f"http://127.0.0.1:{server.http_port}/")
    dialog = visit.page.get_by_role("dialog", name="This server asks who calls")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Token").fill("wrong-wrong-wrong-wrong")
    dialog.get_by_role("button", name="Use it").click()
    expect(dialog).to_contain_text("does not know this token")
    dialog.get_by_label("Token").fill(TOKEN)
    dialog.get_by_label("Token").press("Enter")
    expect(visit.page.locator("#status")).to_have_text("Connected")
    visit.page.get_by_role("button", name="Draw a 7").click()
    visit.says("7")
    visit.page.reload()
    expect(visit.page.locator("#status")).to_have_text("Connected")
    visit.says("3")


def test_from_stroke_to_light(
    visits: Callable[..., Visit], server: Server, front: str, capsys: pytest.CaptureFixture[str]
):
    """Measured by the browser from the pointer's event until the network that answered to it was painted."""
    visit = visits().open(server)
    visit.clear()
    visit.page.evaluate("performance.clearMeasures()")
    for digit in ("3", "8", "0"):
        visit.draw(digit)
        time.sleep(0.1)
    measured = visit.page.evaluate("performance.getEntriesByName('stroke-to-light').map(each => each.duration)")
    assert len(measured) > 20
    measured.sort()
    p50, p95 = (measured[int(len(measured) * part)] for part in (0.5, 0.95))
    with capsys.disabled():
        print(f"\nfrom stroke to light, {front} front: p50 {p50:.0f} ms, p95 {p95:.0f} ms of {len(measured)} lights")  # noqa: T201
