"""`read`, and what `classify` has in common with it, against a server that answers what it is told to."""

import asyncio
import io
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from digits_client import AsyncDigitsClient, Box, DeadlineExceeded, DigitsClient, GridField, InvalidInput
from PIL import Image

IMAGE = np.arange(12, dtype=np.uint8).reshape(4, 3)


def read(target: str, picture: Any, **options: Any) -> list[Any]:
    """What the clients for threads and for asyncio make of it."""

    async def with_asyncio() -> Any:
        async with AsyncDigitsClient(target) as client:
            return await client.read(picture, **options)

    with DigitsClient(target) as client:
        return [client.read(picture, **options), asyncio.run(with_asyncio())]


def test_a_reading_has_every_field_of_the_answer(faulty):
    """Text, score, lines, boxes, fields, warnings with codes, model and timings."""
    for reading in read(faulty.target, b"\1\2"):
        assert (reading.text, reading.score) == ("1?", 0.5)
        assert (reading.width, reading.height, reading.quarter_turns) == (20, 10, 3)
        assert (reading.warnings, reading.warning_codes) == (("lines",), ("lines_removed",))
        assert (reading.model.name, reading.timings.batch_rows) == ("small", 2)
        [line] = reading.lines
        assert (line.text, line.score, line.columns) == ("1?", 0.5, 9)
        first, second = reading.digits
        assert line.digits == (first, second)
        assert (first.box, second.box) == (Box(0, 2, 3, 4), Box(1, 2, 3, 4))
        assert (first.field, second.field) == (GridField(0, 0), GridField(0, 8))
        assert (first.prediction.digit, first.prediction.rejected, first.prediction.not_a_digit) == (1, False, 0)
        assert (second.prediction.digit, second.prediction.rejected, second.prediction.not_a_digit) == (2, True, 0.5)
        assert second.prediction.scores.tolist() == [0.25, 0.75]
        assert second.prediction.model is reading.model


def test_a_digit_of_a_line_is_in_no_field(faulty, monkeypatch: pytest.MonkeyPatch):
    """None, where row 0 and column 0 would be a field."""
    answer = faulty.read

    def without_fields(request: Any, context: Any) -> Any:
        response = answer(request, context)
        for digit in response.lines[0].digits:
            digit.ClearField("field")
        return response

    monkeypatch.setattr(type(faulty), "read", lambda self, request, context: without_fields(request, context))
    from tests.unit.digits_client.conftest import serving

    with serving() as plain:
        for reading in read(plain.target, b"\1\2"):
            assert [digit.field for digit in reading.digits] == [None, None]


def test_a_picture_of_every_kind(faulty, tmp_path: Path):
    """A path, its text, bytes of any kind and a PIL image are sent as the same file."""
    buffer = io.BytesIO()
    Image.new("L", (9, 5)).save(buffer, "PNG")
    path = tmp_path / "picture.png"
    path.write_bytes(buffer.getvalue())
    pictures = [path, str(path), buffer.getvalue(), bytearray(buffer.getvalue()), Image.open(path)]
    for picture in pictures:
        read(faulty.target, picture)
    assert [request.encoded_image for request in faulty.pictures] == [buffer.getvalue()] * 10


@pytest.mark.parametrize("picture", [IMAGE, [b"one"], (b"one",), [], 3, None])
def test_what_is_no_picture(faulty, picture: Any):
    """An array has no ground and no size of its own; a list is several. Nothing is sent."""
    with pytest.raises(TypeError, match=r"expected .*a path, bytes or a PIL image"):
        read(faulty.target, picture)
    assert not faulty.pictures


def test_a_picture_that_is_not_there(faulty):
    """The operating system's error, with the name."""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(faulty.target, "nowhere.png")


def test_options_go_with_the_picture(faulty):
    """Model, version, coverage and reject_above; the client's version applies to the client's model alone."""
    read(faulty.target, b"\1", model="m", version="3", coverage=0.75, reject_above=0.25)
    with DigitsClient(faulty.target, model="own", version="7") as client:
        client.read(b"\1")
        client.read(b"\1", model="m")
    assert [(each.model, each.version, each.coverage, each.reject_above) for each in faulty.pictures] == [
        *[("m", "3", 0.75, 0.25)] * 2,
        ("own", "7", 0, 0),
        ("m", "", 0, 0),
    ]


@pytest.mark.parametrize("share", [0, 1, -0.5, 99, float("nan")])
@pytest.mark.parametrize("name", ["coverage", "reject_above"])
def test_shares_are_checked_before_anything_is_sent(faulty, name: str, share: float):
    """0 would be protobuf's default. The sentence names the option, in `read` as in `classify`."""
    options: Any = {name: share}
    with DigitsClient(faulty.target) as client:
        for call in (client.read, client.classify):
            with pytest.raises(ValueError, match=f"{name} is .*, expected more than 0 and less than 1"):
                call(b"\1", **options)
            with pytest.raises(TypeError, match=f"{name} is '0.9', expected a number"):
                call(b"\1", **{name: "0.9"})
    assert not faulty.pictures
    assert not faulty.requests


def test_a_read_that_fails_is_as_any_call_that_fails(faulty):
    """A full queue is asked again, an invalid picture is not, and the deadline holds."""
    faulty.be_overloaded(0.001)
    with DigitsClient(faulty.target) as client:
        assert client.read(b"\1").text == "1?"
        faulty.fail_with(grpc.StatusCode.INVALID_ARGUMENT, "encoded_image: is no image")
        with pytest.raises(InvalidInput, match="encoded_image"):
            client.read(b"\1")
        held = faulty.hold()
        with pytest.raises(DeadlineExceeded):
            client.read(b"\1", timeout=0.1)
        held.set()
    assert len(faulty.pictures) == 4


async def test_classify_tells_what_is_rejected_and_warned_of(faulty):
    """`reject_above` goes with every kind of call; `rejected` and the codes come back."""
    with DigitsClient(faulty.target) as client:
        results = [client.classify(IMAGE, reject_above=0.5), client.classify(IMAGE)]
        results += client.classify_stream([IMAGE], reject_above=0.5)
    async with AsyncDigitsClient(faulty.target) as client:
        results.append(await client.classify(IMAGE, reject_above=0.5))
        results += [result async for result in client.classify_stream([IMAGE], reject_above=0.5)]
    assert [result.rejected for result in results] == [True, False, True, True, True]
    assert {(result.warnings, result.warning_codes) for result in results} == {(("blank!",), ("blank",))}
    assert [request.reject_above for request in faulty.requests] == [0.5, 0, 0.5, 0.5, 0.5]


async def test_images_to_be_rejected_differently_do_not_share_a_call(faulty):
    """Each gets the answer to its own wish."""
    async with AsyncDigitsClient(faulty.target, coalesce=True) as client:
        wishes = [0.5, None, 0.5]
        results = await asyncio.gather(*(client.classify(IMAGE, reject_above=wish) for wish in wishes))
    assert [result.rejected for result in results] == [True, False, True]
    assert sorted(request.reject_above for request in faulty.requests) == [0, 0.5]
