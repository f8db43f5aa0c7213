"""Pictures of several digits, and what the page makes of them."""

import io
import json

from PIL import Image, ImageDraw
from playwright.sync_api import Locator

from tests.page.page_driver import CALL, STROKES, Visit
from tests.support.server import Server

CELL = 160
"""Pixels from one digit of a picture to the next."""
Box = tuple[float, float, float, float]
"""left, top, right, bottom"""


def drawn(*lines: str, pitch: float = 1) -> Image.Image:
    """The strokes of these digits in lines, `pitch` cells from one to the next; a blank leaves its cell empty."""
    picture = Image.new("L", (int(CELL * (1 + pitch * (max(map(len, lines)) - 1))), CELL * len(lines)), 240)
    pen = ImageDraw.Draw(picture)
    for row, line in enumerate(lines):
        for col, digit in enumerate(line):
            for stroke in STROKES.get(digit, []):
                points = [(CELL * (pitch * col + x / 100), CELL * (row + y / 100)) for x, y in stroke]
                pen.line(points, fill=30, width=12, joint="curve")
    return picture


def file_of(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def give(visit: Visit, data: bytes, how: str = "paste") -> None:
    """Give the page a picture and wait until all is shown."""
    before = len(asked(visit, "Classify"))
    with visit.page.expect_response("**/Classify"):
        visit.give(how, data)
    visit.settled()
    assert len(asked(visit, "Classify")) == before + 1


def asked(visit: Visit, method: str) -> list[dict]:
    """The questions so far."""
    return [request.post_data_json for request in visit.requests if request.url.endswith(CALL + method)]


def read_by(server: Server, **request: str) -> dict:
    """What the RPC says itself."""
    status, _, body = server.http(f"{CALL}Read", json.dumps(request).encode(), content_type="application/json")
    assert status == 200
    return json.loads(body)


def reading(visit: Visit) -> Locator:
    return visit.page.get_by_role("region", name="The digits of the picture")


def boxes(visit: Visit) -> Locator:
    return reading(visit).get_by_role("group", name="Digits of the picture").get_by_role("button")


def edges(of: Locator) -> Box:
    box = of.bounding_box()
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


def text(visit: Visit) -> list[str]:
    return reading(visit).locator(".lines strong").all_inner_texts()
