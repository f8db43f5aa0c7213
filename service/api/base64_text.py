"""Bytes that stand in JSON as text in Base64.

Lenient decoders, as that of protobuf, pass over every character that is none of Base64's, so that any text would be
some bytes.
"""

import re
from typing import Any
from urllib.parse import unquote

from engine.errors import InvalidInput, quoted

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_DATA_URL = re.compile(r"data:([^,]*),(.*)", re.IGNORECASE | re.DOTALL)
_EXPECTED = "expected text in Base64"
_KINDS = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}


def kind_of(value: Any) -> str:
    """What a value of JSON is, for an error."""
    return _KINDS.get(type(value), "a number")


def check_base64(name: str, value: Any) -> str:
    """The text of a field in Base64 alone, which may come as a `data:` URL. Raises `InvalidInput` with `name`."""
    if not isinstance(value, str):
        hint = ', each number one byte: "AAD/" is [0, 0, 255]' if isinstance(value, list) else ""
        raise InvalidInput(name, f"is {kind_of(value)}, {_EXPECTED}{hint}")
    text = value.strip()
    if url := _DATA_URL.fullmatch(text):
        if not url[1].lower().endswith(";base64"):
            raise InvalidInput(name, f"is the data: URL {quoted(text)} without ;base64, {_EXPECTED}")
        text = unquote(url[2])
    text = "".join(text.split())  # encoders break lines
    if not _BASE64.fullmatch(text) or len(text.rstrip("=")) % 4 == 1:
        raise InvalidInput(name, f"is {quoted(value)}, {_EXPECTED}")
    return text
