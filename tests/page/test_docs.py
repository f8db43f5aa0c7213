"""The page that shows the methods over HTTP, and lets them be tried."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.support.server import Server

PHONE = {"viewport": {"width": 390, "height": 844}}


@pytest.mark.parametrize("visitor", [{"color_scheme": "dark"}, {"color_scheme": "light"}, PHONE], ids=str)
def test_each_method_can_be_tried(browser: Browser, server: Server, visitor: dict):
    """With its example; nothing is asked of others, the policy holds, and everyone can use it."""
    context = browser.new_context(**visitor)
    page = context.new_page()
    troubles: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    origin = f"http://127.0.0.1:{server.http_port}"
    page.goto(f"{origin}/docs")
    methods = page.locator("details")
    expect(methods).to_have_count(29)
    for method in ("Classify", "GetNetwork", "ModelInfer_model_name", "ModelMetadata_name_version"):
        opened = page.locator(f"#{method}")
        opened.locator("summary").click()
        opened.get_by_role("button", name="Send").click()
        expect(opened.locator("pre")).to_contain_text("HTTP 200, request ")
    expect(page.locator("#Classify pre")).to_contain_text('"digit"')
    expect(page.locator("#ModelInfer_model_name pre")).to_contain_text('"scores"')
    page.locator("#Classify textarea").fill("{")
    page.locator("#Classify").get_by_role("button", name="Send").click()
    expect(page.locator("#Classify pre")).to_contain_text("HTTP 400")
    found = Axe().run(page).response["violations"]
    serious = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [text for text in troubles if "status of 400" not in text] == []
    assert all(url.startswith(origin) for url in asked)
    context.close()
