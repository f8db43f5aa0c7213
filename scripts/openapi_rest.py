"""The paths of the Open Inference Protocol over REST in openapi.json.

They are those of the table of routes, and their JSON is that of `service.api.open_inference.rest`.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto

from scripts.openapi_schemas import Schema, Schemas, json_content, method_comment, ref
from service.api.open_inference.rest.paths import PATHS

FILES = tuple(
    f"inference/{name}.proto"
    for name in ("open_inference", "model_config", "model_repository", "model_statistics", "shared_memory")
)

# A seven, 20×28 pixels, as a PNG file.
SEVEN = (
    "iVBORw0KGgoAAAANSUhEUgAAABQAAAAcAQAAAABJoaLNAAAAPUlEQVR42mNgQABm+Q+MTAwMDkwMDAxMD1kOMDEwMDAwsDMwMTBAMYzNhyQmA6Ut4GIM"
    "DA8gbMYHUD4CAABSFwVQLYQjGAAAAABJRU5ErkJggg=="
)
# What this server refuses, whatever it is asked.
_REFUSED = ("Cuda", "Trace", "Log")
_EXAMPLES = {"name": "mnist-16x16", "model_name": "mnist-16x16", "version": "4", "model_version": "4"}
_BODIES: dict[str, Any] = {
    "ModelInfer": {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [SEVEN]}]},
    "RepositoryIndex": {"ready": True},
    "RepositoryModelLoad": {},
    "RepositoryModelUnload": {},
    "SystemSharedMemoryRegister": {"key": "/digits-region", "offset": 0, "byte_size": 784},
}
_PARAMETERS = (".inference.InferParameter", ".inference.ModelRepositoryParameter")
_LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Bytes of JSON before the tensors in binary.",
    "schema": {"type": "integer", "minimum": 0},
}
_YES_OR_NO = {
    "ServerLive": ".inference.ServerLiveResponse",
    "ServerReady": ".inference.ServerReadyResponse",
    "ModelReady": ".inference.ModelReadyResponse",
}
# The part of an answer that REST gives without the rest.
_PARTS: dict[str, tuple[str, bool]] = {
    "ModelConfig": (".inference.ModelConfig", False),
    "RepositoryIndex": (".inference.RepositoryIndexResponse.ModelIndex", True),
    "SystemSharedMemoryStatus": (".inference.SystemSharedMemoryStatusResponse.RegionStatus", True),
}


def describe_rest(files: list[FileDescriptorProto]) -> tuple[dict[str, Any], dict[str, Schema]]:
    """The paths, and the schemas that they refer to. The first of the files has the service."""
    schemas = Schemas(files, plain=True)
    # A parameter is its value alone.
    for name in _PARAMETERS:
        schemas.refer(name)
        schemas.found[name[1:]] = {"type": ["boolean", "integer", "number", "string"]}
    values = {"type": "array", "description": "The values, flat or nested, unless they are in binary."}
    for tensor in ("ModelInferRequest.InferInputTensor", "ModelInferResponse.InferOutputTensor"):
        schemas.refer(f".inference.{tensor}", without=("contents",))
        schemas.found[f"inference.{tensor}"]["properties"]["data"] = values
    [service] = files[0].service
    methods = {each.name: (each, method_comment(files[0], index)) for index, each in enumerate(service.method)}
    paths: dict[str, Any] = {}
    for path, verbs in PATHS.items():
        fields = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        rpcs = {verb: rpc for verb, rpc in verbs.items() if not rpc.startswith(_REFUSED)}
        if not rpcs or "repository_name" in fields:  # there is one repository, and it has no name
            continue
        item: dict[str, Any] = {verb.lower(): _operation(*methods[rpc], fields, schemas) for verb, rpc in rpcs.items()}
        if fields:
            item["parameters"] = [_in_path(field, path) for field in fields]
        paths[f"/{path}"] = item
    error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    return paths, schemas.found | {"inference.Error": error}


def _in_path(field: str, path: str) -> Schema:
    example = "region" if "/region/" in path else _EXAMPLES[field]
    schema = {"type": "string", "minLength": 1, "pattern": r"^[A-Za-z0-9_-]+$"}
    return {"name": field, "in": "path", "required": True, "schema": schema, "example": example}


def _operation(method: MethodDescriptorProto, comment: str, fields: list[str], schemas: Schemas) -> Schema:
    rpc = method.name
    error = {"description": "What went wrong.", "content": json_content({"$ref": ref("inference.Error")})}
    answers: dict[str, Any] = {"200": {"description": "The answer."}, "default": error}
    operation = {
        "operationId": rpc + "".join(f"_{field}" for field in fields),
        "tags": ["Open Inference Protocol"],
        "summary": comment.partition(". ")[0].partition(";")[0].rstrip("."),
        "description": comment,
        "responses": answers,
    }
    if schema := _answer(method, schemas):
        answers["200"]["content"] = json_content(schema)
    if rpc in _YES_OR_NO:
        no = {"anyOf": [schema, {"$ref": ref("inference.Error")}]}
        answers["400"] = {"description": "No, or what went wrong.", "content": json_content(no)}
    if rpc in _BODIES:
        without = (*fields, "model_name", "model_version", "raw_input_contents")
        body = {"schema": schemas.refer(method.input_type, without), "example": _BODIES[rpc]}
        operation["requestBody"] = {"content": {"application/json": body}}
    if rpc == "ModelInfer":
        operation["parameters"] = [_LENGTH]
        binary = {"schema": {"type": "string", "format": "binary"}}
        answers["200"]["content"]["application/octet-stream"] = binary
        operation["requestBody"]["content"]["application/octet-stream"] = binary
    return operation


def _answer(method: MethodDescriptorProto, schemas: Schemas) -> Schema | None:
    """The schema of an answer; None where it has no body."""
    if method.name in _PARTS:
        name, several = _PARTS[method.name]
        part = schemas.refer(name)
        return {"type": "array", "items": part} if several else part
    if not schemas.message(method.output_type).field:
        return None
    return schemas.refer(method.output_type, without=("raw_output_contents",))
