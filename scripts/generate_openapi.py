"""Generate service/web/docs/openapi.json from proto/: `python -m scripts.generate_openapi [FILE]`.

The document describes the unary methods of digits.v1 as JSON over HTTP: requests and answers in ProtoJSON
(https://protobuf.dev/programming-guides/json/), errors as the Connect protocol has them; and the Open Inference
Protocol over REST, see `scripts.openapi_rest`.
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
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)

from scripts.openapi_rest import FILES, SEVEN, describe_rest
from scripts.openapi_schemas import Schemas, json_content, method_comment, ref, service_comment

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "service" / "web" / "docs" / "openapi.json"
PROTO = "digits/v1/digits.proto"

# Requests that a server with the committed models answers.
EXAMPLES: dict[str, dict[str, Any]] = {
    "Classify": {"encodedImages": [SEVEN]},
    "Read": {"encodedImage": SEVEN},
    "GetNetwork": {"layer": 1},
    "GetLearning": {"model": "mnist-16x16"},
    "Explain": {"encodedImage": SEVEN},
}

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
    files = _descriptors(PROTO, *FILES)
    file, of_rest = files[0], files[1:]
    schemas = Schemas([file], file.package)
    [service] = file.service
    paths = {}
    for index, method in enumerate(service.method):
        if not (method.client_streaming or method.server_streaming):
            name = f"/{file.package}.{service.name}/{method.name}"
            paths[name] = _path(method, method_comment(file, index), schemas)
    rest_paths, rest_schemas = describe_rest(of_rest)
    error = {"description": "What went wrong.", "content": json_content({"$ref": ref("Error")})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "digits",
            "version": "v1",
            "description": f"{service_comment(file)} In ProtoJSON over HTTP, by the Connect protocol. Below /v2 the "
            "Open Inference Protocol over REST.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths | rest_paths,
        "components": {
            "schemas": dict(sorted(schemas.found.items())) | {"Error": _ERROR} | dict(sorted(rest_schemas.items())),
            "responses": {"Error": error},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _descriptors(*names: str) -> list[FileDescriptorProto]:
    """Those of files under proto/, in this order."""
    protoc = Path(sysconfig.get_path("scripts")) / "protoc"
    google = importlib.resources.files("google.rpc").joinpath("status.proto")
    with importlib.resources.as_file(google) as status, tempfile.TemporaryDirectory() as folder:
        described = Path(folder) / "descriptors"
        includes = (f"-I{ROOT / 'proto'}", f"-I{status.parents[2]}")
        command = [protoc, *includes, "--include_source_info", f"--descriptor_set_out={described}", *names]
        subprocess.run(command, check=True)
        found = {file.name: file for file in FileDescriptorSet.FromString(described.read_bytes()).file}
        return [found[name] for name in names]


def _path(method: MethodDescriptorProto, comment: str, schemas: Schemas) -> dict[str, Any]:
    request, response = schemas.refer(method.input_type), schemas.refer(method.output_type)
    answers = {
        "200": {"description": "The answer.", "content": json_content(response)},
        "default": {"$ref": "#/components/responses/Error"},
    }
    shared = {"summary": comment.partition(". ")[0].rstrip("."), "description": comment, "responses": answers}
    example = EXAMPLES.get(method.name, {})
    body = {"required": True, "content": {"application/json": {"schema": request, "example": example}}}
    found: dict[str, Any] = {"post": {"operationId": method.name, **shared, "requestBody": body}}
    # Images do not fit into a URL.
    images = any(field.type == FieldDescriptorProto.TYPE_BYTES for field in schemas.message(method.input_type).field)
    if method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS and not images:
        message = {
            "name": "message",
            "in": "query",
            "required": True,
            "content": json_content(request),
            "example": example,
        }
        encoding = {"name": "encoding", "in": "query", "required": True, "schema": {"const": "json"}}
        found["get"] = {"operationId": f"{method.name}ByGet", **shared, "parameters": [encoding, message]}
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(json.dumps(describe(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
