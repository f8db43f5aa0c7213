"""Requests in JSON: what stands for bytes is Base64 or a `data:` URL, and all else is refused by the field's name."""

import base64
import json
from typing import Any

import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidInput
from service.api.errors import translate
from service.transports.http.json_request import read_json

CLASSIFY = "/digits.v1.DigitsService/Classify"
IMAGE = b"\x89PNG\xfb\xff\xfe and more" * 9
PLAIN = base64.b64encode(IMAGE).decode()


def read(message: Any) -> pb.ClassifyRequest:
    found = read_json(json.dumps(message).encode(), pb.ClassifyRequest)
    assert isinstance(found, pb.ClassifyRequest)
    return found


@pytest.mark.parametrize("name", ["encodedImages", "encoded_images"])
@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(IMAGE).decode(),
        base64.encodebytes(IMAGE).decode(),
        f" {PLAIN}\r\n",
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/png;charset=utf-8;BASE64,{PLAIN}",
        f"data:;base64,{PLAIN}",
        f"data:image/png;base64,{PLAIN.replace('+', '%2B').replace('/', '%2f').replace('=', '%3D')}",
        f"\ndata:image/png;base64,{base64.encodebytes(IMAGE).decode()}",
    ],
)
def test_bytes_are_base64_of_any_kind_or_a_data_url(name: str, text: str):
    """With padding or without, for URLs or not, in lines or in one."""
    assert list(read({name: [text, PLAIN]}).encoded_images) == [IMAGE, IMAGE]
    assert read({"pixels": text}).pixels == IMAGE


@given(st.binary())
def test_what_protobuf_writes_is_read(data: bytes):
    """Whatever the bytes."""
    assert read({"pixels": base64.b64encode(data).decode()}).pixels == data


@pytest.mark.parametrize(
    "text",
    [
        "%%%",
        "no Base64!",
        "a",
        "AAAAA",
        "AA=A",
        "AA===",
        "é",
        "\ud800",
        "AAAA\0",
        "https://example.org/seven.png",
        "data:image/png;base64",
        "data:image/png;base64,%%%",
        "data:image/png,%89PNG",
        "data:image/svg+xml;utf8,<svg/>",
        "x" * 100_000 + "%",
    ],
)
@pytest.mark.parametrize("field", ["pixels", "encoded_images"])
def test_text_that_is_no_base64_is_refused(field: str, text: str):
    """By the field and its place, in a sentence that shows some of it."""
    several = field == "encoded_images"
    with pytest.raises(InvalidInput) as raised:
        read({field: [PLAIN, text] if several else text})
    assert raised.value.field == (f"{field}[1]" if several else field)
    assert "Base64" in raised.value.description
    assert len(translate(raised.value, CLASSIFY).message) <= 300


@pytest.mark.parametrize(
    "message", [{"\ud800pixels": PLAIN}, {"pixels": PLAIN, "a\udfff": 1}, {"model": {"\ud800": {"b": 1}}}]
)
def test_a_name_that_holds_half_of_a_surrogate_pair_is_refused(message: dict):
    """protobuf has a SystemError for it."""
    with pytest.raises(InvalidInput) as raised:
        read(message)
    assert "holds half of a surrogate pair" in raised.value.description
    translate(raised.value, CLASSIFY).message.encode()


@pytest.mark.parametrize(
    ("message", "field", "found"),
    [
        ({"pixels": [0] * 784}, "pixels", "is a list"),
        ({"pixels": [[0] * 28] * 28}, "pixels", "is a list"),
        ({"pixels": {"data": "AAAA"}}, "pixels", "is an object"),
        ({"pixels": 7}, "pixels", "is a number"),
        ({"pixels": True}, "pixels", "is a truth value"),
        ({"encodedImages": PLAIN}, "encoded_images", "is text"),
        ({"encodedImages": {"bytes": PLAIN}}, "encoded_images", "is an object"),
        ({"encodedImages": [{"bytes": PLAIN}]}, "encoded_images[0]", "is an object"),
        ({"encodedImages": [PLAIN, [1, 2]]}, "encoded_images[1]", "is a list"),
        ({"encodedImages": [PLAIN, None]}, "encoded_images[1]", "is null"),
        ({"encodedImages": [0.5]}, "encoded_images[0]", "is a number"),
    ],
)
def test_bytes_that_are_no_text_are_refused(message: dict, field: str, found: str):
    """By the field, with what was found and what was expected."""
    with pytest.raises(InvalidInput) as raised:
        read(message)
    assert (raised.value.field, found in raised.value.description) == (field, True)
    assert "Base64" in raised.value.description


@pytest.mark.parametrize(
    "message",
    [
        {"encodedImages": [PLAIN], "encoded_images": [PLAIN]},
        {"includeActivations": True, "include_activations": False},
    ],
)
def test_a_field_by_both_of_its_names_is_refused(message: dict):
    """Else one of the two would be lost without a word."""
    with pytest.raises(InvalidInput, match="is there twice") as raised:
        read(message)
    assert raised.value.field in message


@pytest.mark.parametrize("message", [{}, {"pixels": None}, {"encodedImages": None}, {"encodedImages": []}])
def test_null_is_as_if_it_were_not_there(message: dict):
    """As protobuf has it."""
    assert read(message) == pb.ClassifyRequest()


@pytest.mark.parametrize(
    "text",
    [
        "{bad",
        "[1]",
        "7",
        '{"pixel": "AAAA"}',
        '{"pixels": "AAAA", "pixels": "AAAA"}',
        '{"pixels": "AAAA", "pixels": 7}',
        '{"model": 7}',
        "[]",
        "null",
        '{"' + "x" * 100_000 + '": 1}',
        '{"model": "' + "x" * 100_000,
        "[" * 100_000,
        '{"model": ' + "7" * 5000 + "}",
    ],
)
def test_what_is_no_message_is_refused_in_a_sentence_of_bounded_length(text: str):
    """Whatever protobuf or the parser says of it."""
    with pytest.raises(InvalidInput) as raised:
        read_json(text.encode(), pb.ClassifyRequest)
    assert raised.value.field == "message"
    assert len(translate(raised.value, CLASSIFY).message) <= 300


@pytest.mark.parametrize(
    ("text", "what"),
    [('{"encodedImages": [' + '"",' * 100_001 + '""]}', "values"), ('{"a": ' + '{"a":' * 100_001, "names")],
    ids=["values", "names"],
)
def test_json_that_holds_up_others_is_not_read(text: str, what: str):
    """Whatever it says; 100,000 pictures of one byte are far more than a call may have."""
    with pytest.raises(InvalidInput, match=f"has more than 100000 {what} in its JSON"):
        read_json(text.encode(), pb.ClassifyRequest)
