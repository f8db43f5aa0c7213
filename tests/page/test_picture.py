"""The picture of the page with which the README begins: `make page-picture` writes it anew."""

import io
import os
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.page.page_driver import Visit
from tests.support.server import Server

PICTURE = Path(__file__).with_name("page.webp")


def test_the_readme_begins_with_a_picture_of_the_page(visits: Callable[..., Visit], server: Server):
    """A drawn 3 at work in the default network; of today's size, and not of an empty page."""
    visit = visits(viewport={"width": 1280, "height": 860}, device_scale_factor=1.5).open(server)
    visit.page.locator("h1").hover()
    made = Image.open(io.BytesIO(visit.page.screenshot())).convert("RGB")
    if os.environ.get("PAGE_PICTURE"):
        made.save(PICTURE, quality=92, method=6)
    shown = Image.open(PICTURE)
    assert shown.size == made.size
    assert len(shown.convert("RGB").getcolors(2**24)) > 100
