"""Requests in JSON: as protobuf reads them, but what stands for bytes is looked at first."""

import json
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from engine.errors import InvalidInput, quoted
from service.api.base64_text import check_base64, kind_of
from service.api.json_limits import MAX_NAMES, check_size, reason


def read_json(data: bytes, kind: type[Message]) -> Message:
    """The message of that kind. Bytes may be a `data:` URL as well. Raises `InvalidInput` naming the field."""
    check_size("message", data, MAX_NAMES)
    try:
        found = json.loads(data.decode(), object_pairs_hook=_fields)
        if isinstance(found, dict):
            _check_fields(found, kind)
        elif kind.DESCRIPTOR.file.package != "google.protobuf":  # whose messages have forms of their own
            raise ParseError(f"it is {kind_of(found)}, expected an object")
        return ParseDict(found, kind())
    except (ParseError, ValueError, RecursionError) as error:
        # It repeats what the client wrote, halves of surrogate pairs too, which no UTF-8 has.
        text = reason(error).encode(errors="backslashreplace").decode()
        raise InvalidInput("message", f"no {kind.DESCRIPTOR.full_name} in JSON: {text}") from None


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ParseError(f"{quoted(next(name for name in names if names.count(name) > 1))} is there twice")
    for name in found:
        # protobuf looks up names in UTF-8, and ends in a SystemError.
        if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
            raise ParseError(f"the name {quoted(name)} holds half of a surrogate pair")
    return found


def _check_fields(found: dict[str, Any], kind: type[Message]) -> None:
    """Make the bytes among the fields what protobuf reads rightly."""
    for field in kind.DESCRIPTOR.fields:
        names = sorted({field.json_name, field.name} & found.keys())
        if len(names) > 1:
            raise InvalidInput(field.name, f"is there twice, as {' and '.join(names)}")
        if names and field.type == FieldDescriptor.TYPE_BYTES:
            found[names[0]] = _of_bytes(field, found[names[0]])


def _of_bytes(field: Any, value: Any) -> Any:
    """The value of a field of bytes, as protobuf reads it."""
    if value is None:
        return None
    if not field.is_repeated:
        return check_base64(field.name, value)
    if not isinstance(value, list):
        raise InvalidInput(field.name, f"is {kind_of(value)}, expected a list of texts in Base64")
    return [check_base64(f"{field.name}[{index}]", each) for index, each in enumerate(value)]
