"""A real Chromium, Debian's, for the tests of the page; a machine without skips them, saying so."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.conftest import servers_of
from tests.page.page_driver import Visit
from tests.support.server import MODELS, Server
from tests.support.tiny_ensemble import train_tiny

HERE = __name__.rpartition(".")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.extra("chromium"))


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """As root, as containers often are, Chromium has no sandbox."""
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def server(front: str) -> Iterator[Server]:
    """The committed models; the page begins with one whose neurons are drawn one by one."""
    with servers_of(front) as start:
        yield start("--default-model=mnist-16x16", models=MODELS)


@pytest.fixture
def visits(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Visits in a window of some size and with some preferences, see Playwright's `new_context`."""
    contexts = []

    def begin(**options: object) -> Visit:
        options = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"} | options
        contexts.append(browser.new_context(**options))
        return Visit(contexts[-1].new_page())

    yield begin
    for context in contexts:
        context.close()


@pytest.fixture
def visit(visits: Callable[..., Visit], server: Server) -> Visit:
    """A visit that has begun; without an error at its end."""
    visit = visits().open(server)
    yield visit
    visit.no_errors()


@pytest.fixture(scope="session")
def committee(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with a committee of tiny networks, named `tiny`."""
    return train_tiny(tmp_path_factory.mktemp("models")).models
