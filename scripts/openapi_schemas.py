"""Schemas of OpenAPI, with comments, from the descriptors of proto files."""

from collections.abc import Collection, Iterable
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

Schema = dict[str, Any]

_FIELD = FieldDescriptorProto
_INT32 = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32 = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
# JSON has no infinities and no whole numbers of 64 bits, so ProtoJSON writes these as text.
_FLOAT = {"oneOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_SCALARS: dict[int, Schema] = {
    _FIELD.TYPE_BOOL: {"type": "boolean"},
    _FIELD.TYPE_BYTES: {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
    _FIELD.TYPE_DOUBLE: _FLOAT,
    _FIELD.TYPE_FLOAT: _FLOAT,
    _FIELD.TYPE_INT32: _INT32,
    _FIELD.TYPE_INT64: {"type": "string", "pattern": "^-?[0-9]{1,19}$"},
    _FIELD.TYPE_STRING: {"type": "string"},
    _FIELD.TYPE_UINT32: _UINT32,
    _FIELD.TYPE_UINT64: {"type": "string", "pattern": "^[0-9]{1,20}$"},
}
_PLAIN_SCALARS = _SCALARS | {
    _FIELD.TYPE_DOUBLE: {"type": "number"},
    _FIELD.TYPE_FLOAT: {"type": "number"},
    _FIELD.TYPE_INT64: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    _FIELD.TYPE_UINT64: {"type": "integer", "minimum": 0, "maximum": 2**64 - 1},
}
_SERVICE, _METHOD, _MESSAGE, _ENUM, _NESTED, _OF_MESSAGE = 6, 2, 4, 5, 3, 2  # numbers of fields in descriptor.proto


def comments_of(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The comments of a file by the paths that descriptor.proto describes."""
    return {tuple(each.path): " ".join(each.leading_comments.split()) for each in file.source_code_info.location}


def method_comment(file: FileDescriptorProto, index: int) -> str:
    """That of a method of a file's only service."""
    return comments_of(file).get((_SERVICE, 0, _METHOD, index), "")


def service_comment(file: FileDescriptorProto) -> str:
    """That of a file's only service."""
    return comments_of(file).get((_SERVICE, 0), "")


def ref(name: str) -> str:
    """Where the schema of that name stands."""
    return f"#/components/schemas/{name}"


def json_content(schema: Schema) -> Schema:
    """The content of a request or an answer that is JSON."""
    return {"application/json": {"schema": schema}}


class Schemas:
    """The schemas of messages and enums that were referred to, by their names: `found`.

    They are of ProtoJSON. With `plain` they are of the JSON of REST: the names of the proto file, whole numbers of 64
    bits as numbers.
    """

    def __init__(self, files: Iterable[FileDescriptorProto], package: str = "", *, plain: bool = False) -> None:
        """`package` is left out of names."""
        self.found: dict[str, Schema] = {}
        self._package = package
        self._plain = plain
        self._types: dict[str, tuple[DescriptorProto | EnumDescriptorProto, str, list[str]]] = {}
        for file in files:
            comments = comments_of(file)
            for index, message in enumerate(file.message_type):
                self._add(f".{file.package}", message, comments, (_MESSAGE, index))
            for index, enum in enumerate(file.enum_type):
                self._types[f".{file.package}.{enum.name}"] = (enum, comments.get((_ENUM, index), ""), [])

    def _add(
        self, within: str, message: DescriptorProto, comments: dict[tuple[int, ...], str], path: tuple[int, ...]
    ) -> None:
        of_fields = [comments.get((*path, _OF_MESSAGE, place), "") for place in range(len(message.field))]
        name = f"{within}.{message.name}"
        self._types[name] = message, comments.get(path, ""), of_fields
        for index, nested in enumerate(message.nested_type):
            self._add(name, nested, comments, (*path, _NESTED, index))
        for index, enum in enumerate(message.enum_type):
            self._types[f"{name}.{enum.name}"] = enum, comments.get((*path, 4, index), ""), []

    def message(self, name: str) -> DescriptorProto:
        """A message by its full name, which begins with a point."""
        message = self._types[name][0]
        assert isinstance(message, DescriptorProto)
        return message

    def refer(self, name: str, without: Collection[str] = ()) -> Schema:
        """A reference to the schema of a message or an enum, of a message without these fields."""
        short = name.removeprefix(f".{self._package}.").removeprefix(".")
        if short not in self.found:
            self.found[short] = {}  # so that a message may have itself as a field
            self.found[short].update(self._describe(name, without))
        return {"$ref": ref(short)}

    def _describe(self, name: str, without: Collection[str]) -> Schema:
        found, comment, of_fields = self._types[name]
        if isinstance(found, EnumDescriptorProto):
            return {"enum": [value.name for value in found.value], "description": comment}
        properties = {}
        for field, about in zip(found.field, of_fields, strict=True):
            if field.name not in without:
                schema = self._field(found, field)
                name = field.name if self._plain else field.json_name
                properties[name] = {**schema, "description": about} if about else schema
        return {"type": "object", "description": comment, "properties": properties, "additionalProperties": False}

    def _field(self, message: DescriptorProto, field: FieldDescriptorProto) -> Schema:
        nested = {each.name: each for each in message.nested_type if each.options.map_entry}
        if entry := nested.get(field.type_name.rpartition(".")[2]):
            return {"type": "object", "additionalProperties": self._field(message, entry.field[1])}
        scalar = field.type not in (_FIELD.TYPE_MESSAGE, _FIELD.TYPE_ENUM)
        scalars = _PLAIN_SCALARS if self._plain else _SCALARS
        schema = dict(scalars[field.type]) if scalar else self.refer(field.type_name)
        return {"type": "array", "items": schema} if field.label == _FIELD.LABEL_REPEATED else schema
