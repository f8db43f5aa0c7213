"""Generate service/web/docs/openapi.json from proto/: `python -m scripts.generate_openapi [FILE]`.

The document describes the unary methods of digits.v1 as JSON over HTTP: requests and answers in ProtoJSON
(https://protobuf.dev/programming-guides/json/), errors as the Connect protocol has them.
"""

import importlib.resources
import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "service" / "web" / "docs" / "openapi.json"
PROTO = "digits/v1/digits.proto"

# A seven, 20×28 pixels, as a PNG file.
_SEVEN = (
    "iVBORw0KGgoAAAANSUhEUgAAABQAAAAcAQAAAABJoaLNAAAAPUlEQVR42mNgQABm+Q+MTAwMDkwMDAxMD1kOMDEwMDAwsDMwMTBAMYzNhyQmA6Ut4GIM"
    "DA8gbMYHUD4CAABSFwVQLYQjGAAAAABJRU5ErkJggg=="
)
# Requests that a server with the committed models answers.
EXAMPLES: dict[str, dict[str, Any]] = {
    "Classify": {"encodedImages": [_SEVEN]},
    "Read": {"encodedImage": _SEVEN},
    "GetNetwork": {"layer": 1},
    "GetLearning": {"model": "mnist-16x16"},
    "Explain": {"encodedImage": _SEVEN},
}

_FIELD = FieldDescriptorProto
_INT32 = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_UINT32 = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
# JSON has no infinities and no whole numbers of 64 bits, so ProtoJSON writes these as text.
_FLOAT = {"oneOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_SCALARS: dict[int, dict[str, Any]] = {
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
_SERVICE, _METHOD, _MESSAGE, _ENUM = 6, 2, 4, 5  # where comments stand, by the numbers of fields in descriptor.proto

_ERROR = {
    "type": "object",
    "description": "An error as the Connect protocol has it.",
    "required": ["code"],
    "properties": {
        "code": {"type": "string", "examples": ["invalid_argument", "not_found", "resource_exhausted"]},
        "message": {"type": "string"},
        "details": {
            "type": "array",
            "description": "google.rpc.BadRequest, RetryInfo and RequestInfo.",
            "items": {
                "type": "object",
                "required": ["type", "value"],
                "properties": {
                    "type": {"type": "string"},
                    "value": {"type": "string", "description": "The message in Base64 without padding."},
                },
            },
        },
    },
}


def describe() -> dict[str, Any]:
    """The document."""
    file = _descriptor()
    comments = {tuple(each.path): " ".join(each.leading_comments.split()) for each in file.source_code_info.location}
    schemas = _Schemas(file, comments)
    [service] = file.service
    paths = {}
    for index, method in enumerate(service.method):
        if not (method.client_streaming or method.server_streaming):
            name = f"/{file.package}.{service.name}/{method.name}"
            paths[name] = _path(method, comments.get((_SERVICE, 0, _METHOD, index), ""), schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "digits",
            "version": "v1",
            "description": f"{comments.get((_SERVICE, 0), '')} In ProtoJSON over HTTP, by the Connect protocol.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.found.items())) | {"Error": _ERROR},
            "responses": {"Error": {"description": "What went wrong.", "content": _json({"$ref": _ref("Error")})}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _descriptor() -> FileDescriptorProto:
    protoc = Path(sysconfig.get_path("scripts")) / "protoc"
    google = importlib.resources.files("google.rpc").joinpath("status.proto")
    with importlib.resources.as_file(google) as status, tempfile.TemporaryDirectory() as folder:
        described = Path(folder) / "descriptors"
        includes = (f"-I{ROOT / 'proto'}", f"-I{status.parents[2]}")
        command = [protoc, *includes, "--include_source_info", f"--descriptor_set_out={described}", PROTO]
        subprocess.run(command, check=True)
        [file] = FileDescriptorSet.FromString(described.read_bytes()).file
        return file


def _path(method: MethodDescriptorProto, comment: str, schemas: "_Schemas") -> dict[str, Any]:
    request, response = schemas.refer(method.input_type), schemas.refer(method.output_type)
    answers = {
        "200": {"description": "The answer.", "content": _json(response)},
        "default": {"$ref": "#/components/responses/Error"},
    }
    shared = {"summary": comment.partition(". ")[0].rstrip("."), "description": comment, "responses": answers}
    example = EXAMPLES.get(method.name, {})
    body = {"required": True, "content": {"application/json": {"schema": request, "example": example}}}
    found: dict[str, Any] = {"post": {"operationId": method.name, **shared, "requestBody": body}}
    # Images do not fit into a URL.
    images = any(field.type == _FIELD.TYPE_BYTES for field in schemas.message(method.input_type).field)
    if method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS and not images:
        message = {"name": "message", "in": "query", "required": True, "content": _json(request), "example": example}
        encoding = {"name": "encoding", "in": "query", "required": True, "schema": {"const": "json"}}
        found["get"] = {"operationId": f"{method.name}ByGet", **shared, "parameters": [encoding, message]}
    return found


class _Schemas:
    """The schemas of messages and enums that were referred to, by their name."""

    def __init__(self, file: FileDescriptorProto, comments: dict[tuple[int, ...], str]) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self._package = f".{file.package}."
        self._comments = comments
        self._messages = {each.name: (each, index) for index, each in enumerate(file.message_type)}
        self._enums = {each.name: (each, index) for index, each in enumerate(file.enum_type)}

    def message(self, name: str) -> DescriptorProto:
        return self._messages[name.removeprefix(self._package)][0]

    def refer(self, name: str) -> dict[str, Any]:
        """A reference to the schema of a message or an enum."""
        short = name.removeprefix(self._package)
        if short not in self.found:
            self.found[short] = {}  # so that a message may have itself as a field
            self.found[short].update(self._enum(short) if short in self._enums else self._object(short))
        return {"$ref": _ref(short)}

    def _object(self, name: str) -> dict[str, Any]:
        message, index = self._messages[name]
        properties = {}
        for place, field in enumerate(message.field):
            comment = self._comments.get((_MESSAGE, index, 2, place), "")
            schema = self._field(message, field)
            properties[field.json_name] = {**schema, "description": comment} if comment else schema
        described = self._comments.get((_MESSAGE, index), "")
        return {"type": "object", "description": described, "properties": properties, "additionalProperties": False}

    def _field(self, message: DescriptorProto, field: FieldDescriptorProto) -> dict[str, Any]:
        nested = {each.name: each for each in message.nested_type if each.options.map_entry}
        if entry := nested.get(field.type_name.rpartition(".")[2]):
            return {"type": "object", "additionalProperties": self._field(message, entry.field[1])}
        plain = field.type not in (_FIELD.TYPE_MESSAGE, _FIELD.TYPE_ENUM)
        schema = dict(_SCALARS[field.type]) if plain else self.refer(field.type_name)
        return {"type": "array", "items": schema} if field.label == _FIELD.LABEL_REPEATED else schema

    def _enum(self, name: str) -> dict[str, Any]:
        enum, index = self._enums[name]
        return {"enum": [value.name for value in enum.value], "description": self._comments.get((_ENUM, index), "")}


def _ref(name: str) -> str:
    return f"#/components/schemas/{name}"


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(json.dumps(describe(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
