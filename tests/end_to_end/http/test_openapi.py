"""openapi.json is what proto/ says and what the server does."""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import pytest

from scripts.generate_openapi import TARGET, describe
from tests.foreign.environments import python_with
from tests.support.http_calls import JSON
from tests.support.processes import environment
from tests.support.server import STEM, Server

SCHEMATHESIS = ("schemathesis==4.32.5",)
# Not those that a server of ProtoJSON breaks by intent: it also takes null, numbers as text and the names of proto/,
# and not every text in Base64 is an image.
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


def test_the_committed_document_is_what_make_proto_makes():
    """So nobody edited it, and nobody forgot to generate it."""
    assert json.loads(TARGET.read_text()) == describe()


@pytest.mark.front("grpcio")  # either has the same methods, see test_page.py
def test_every_example_is_answered(server: Server):
    """By POST, and where it is there by GET; each message of the answer has only fields that are described."""
    document = json.loads(server.http("/openapi.json")[2])
    paths = {path: verbs for path, verbs in document["paths"].items() if path.startswith(STEM)}
    assert {path.removeprefix(STEM) for path in paths} == {
        "Classify", "Read", "ListModels", "GetModel", "GetNetwork", "GetLearning", "Explain",
    }  # fmt: skip
    for path, verbs in paths.items():
        content = verbs["post"]["requestBody"]["content"]["application/json"]
        sent = json.dumps(content["example"])
        status, _, answer = server.http(path, sent.encode(), **JSON)
        assert status == 200, answer
        check(json.loads(answer), verbs["post"]["responses"]["200"]["content"]["application/json"]["schema"], document)
        if "get" in verbs:
            query = urlencode({"encoding": "json", "message": sent})
            assert server.http(f"{path}?{query}")[::2] == (200, answer)


@pytest.mark.front("grpcio")
def test_every_example_of_rest_is_answered(server: Server):
    """By its verb, and with only fields that are described; but for what needs a setting or a region."""
    document = json.loads(server.http("/openapi.json")[2])
    paths = {path: item for path, item in document["paths"].items() if path.startswith("/v2")}
    assert len(paths) == 22
    refused = {"RepositoryModelLoad": 400, "RepositoryModelUnload": 400, "SystemSharedMemoryRegister": 400}
    for path, item in paths.items():
        [(verb, operation)] = ((verb, each) for verb, each in item.items() if verb != "parameters")
        for each in item.get("parameters", ()):
            path = path.replace(f"{{{each['name']}}}", each["example"])
        sent = operation.get("requestBody", {"content": {"application/json": {"example": {}}}})
        body = json.dumps(sent["content"]["application/json"]["example"]).encode() if verb == "post" else None
        status, _, answer = server.http(path, body)
        name = operation["operationId"].partition("_")[0]
        wanted = 404 if path.endswith("/region/region/status") else refused.get(name, 200)
        assert status == wanted, (path, answer)
        how = operation["responses"]["200" if status == 200 else "default"].get("content")
        assert bool(how) == bool(answer)
        if how:
            check(json.loads(answer), how["application/json"]["schema"], document)


def check(value: object, schema: dict, document: dict) -> None:
    """A small part of JSON Schema: types and names of fields."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    wanted = schema.get("type")
    assert isinstance(value, object if isinstance(wanted, list) else kinds.get(wanted, object)), (value, schema)
    if "enum" in schema:
        assert value in schema["enum"]
    for item in value if isinstance(value, list) else ():
        check(item, schema.get("items", {}), document)
    for name, each in value.items() if isinstance(value, dict) else ():
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        assert name in fields or others, f"{name} is not described"
        check(each, fields.get(name, others), document)


@pytest.mark.front("grpcio")
@pytest.mark.skipif(not os.environ.get("OPENAPI"), reason="takes a minute: make openapi")
def test_the_server_keeps_to_its_document(server: Server, tmp_path: Path):
    """Whatever schemathesis thinks of, right and wrong."""
    python = python_with("schemathesis", *SCHEMATHESIS)
    command = [python.with_name("schemathesis"), "run", f"http://127.0.0.1:{server.http_port}/openapi.json"]
    options = [
        f"--checks={','.join(CHECKS)}",
        "--mode=all",
        "--max-examples=30",
        "--no-color",
        "--generation-deterministic",
    ]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
