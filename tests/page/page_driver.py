"""A visit of the page by a browser: what a visitor does there and sees, and what the browser complained of."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.support.server import Server

STROKES: dict[str, list[list[list[float]]]] = json.loads((Path(__file__).parent / "strokes.json").read_text())
BEST = "mnist-large 1"
CALL = "/digits.v1.DigitsService/"
# A server that starts, or a machine that is busy.
PATIENCE = 20_000


@dataclass
class Visit:
    """One page in one browser."""

    page: Page
    errors: list[str] = field(default_factory=list)
    """What the console was told as an error, breaches of the content security policy included."""
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda told: told.type == "error" and self.errors.append(told.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request))

    def open(self, server: Server, tab: str = "draw") -> "Visit":
        """Go there and wait until a network is at work."""
        self.page.goto(f"http://127.0.0.1:{server.http_port}/#{tab}")
        expect(self.page.locator("html")).to_have_attribute("data-server", "well", timeout=PATIENCE)
        if tab == "draw":
            self.says("3")  # the digit that the page begins with
            self.settled()
        return self

    @property
    def verdict(self) -> Locator:
        return self.page.locator("#verdict strong")

    def says(self, *digits: str) -> None:
        """Wait until the networks say these digits."""
        expect(self.verdict).to_have_text(list(digits), timeout=PATIENCE)

    def settled(self) -> None:
        """Wait until what is on the pad has been answered and shown."""
        self.page.wait_for_function("() => document.documentElement.dataset.busy === 'no'")

    def clear(self) -> None:
        self.page.get_by_role("button", name="Clear").click()
        expect(self.verdict).to_have_count(0)

    def draw(self, digit: str) -> None:
        """Draw a digit with the mouse."""
        self.draw_strokes(STROKES[digit])

    def draw_strokes(self, strokes: list[list[list[float]]]) -> None:
        """Draw strokes from point to point with the mouse, each [across, down] in hundredths of the pad."""
        box = self.page.locator("#pad").bounding_box()
        mouse = self.page.mouse
        for stroke in strokes:
            points = [(box["x"] + x / 100 * box["width"], box["y"] + y / 100 * box["height"]) for x, y in stroke]
            mouse.move(*points[0])
            mouse.down()
            for x, y in points[1:]:
                mouse.move(x, y, steps=3)
            mouse.up()
        self.settled()

    def choose(self, version: str, panel: int = 0) -> None:
        """Choose a model and its version, as `name version`."""
        self.page.locator(".panel").nth(panel).locator("select").first.select_option(version)
        about = self.page.locator(".about").nth(panel)
        card = {
            "mnist-large 1": "784-1536",
            "mnist-committee 2": "4 networks",
            "digits-8x8 1": "64-64",
            "mnist-16x16 1": "sigmoid",
            "mnist-16x16 2": "ReLU",
            "mnist-16x16 3": "sigmoid, 96.",
        }
        expect(about).to_contain_text(card[version])
        self.settled()

    def neurons(self, layer: int, panel: int = 0) -> list[float]:
        """What the page holds for each neuron of a hidden layer."""
        buttons = self.page.locator(".panel").nth(panel).locator(f'[aria-label^="Hidden layer {layer}, neuron"]')
        return [float(value) for value in buttons.evaluate_all("all => all.map(each => each.dataset.value)")]

    def give(self, how: str, data: bytes, kind: str = "image/png", name: str = "digit.png") -> None:
        """Paste or drop a file."""
        self.page.evaluate(
            """([how, text, kind, name]) => {
              const bytes = Uint8Array.from(atob(text), each => each.charCodeAt(0));
              const files = new DataTransfer();
              files.items.add(new File([bytes], name, {type: kind}));
              const event = how === "paste" ? new ClipboardEvent(how, {clipboardData: files, bubbles: true})
                : new DragEvent(how, {dataTransfer: files, bubbles: true, cancelable: true});
              document.body.dispatchEvent(event);
            }""",
            [how, base64.b64encode(data).decode(), kind, name],
        )

    def answer_to(self, act: Callable[[], None]) -> dict:
        """The last answer of Classify that came of an act."""
        answers = []
        self.page.on("response", lambda response: response.url.endswith("/Classify") and answers.append(response))
        act()
        self.settled()
        return answers[-1].json()

    def change(self, of: str, do: Callable[[dict], None]) -> None:
        """Change each answer of an RPC before the page gets it."""

        def between(route: Route) -> None:
            response = route.fetch()
            answer = response.json()
            do(answer)
            route.fulfill(response=response, json=answer)

        self.page.route(f"**/{of}", between)

    def no_errors(self) -> None:
        assert self.errors == []
