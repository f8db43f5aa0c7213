"""Roles of tokens: what each lets its owner do, on every door."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2
from digits_protocol.inference import open_inference_pb2
from grpc_health.v1 import health_pb2

from tests.end_to_end.security.tokens import bearer
from tests.support.server import Server, StartServer

ROLES = {
    "": {"classify", "read"},  # what a line without a list gives
    "classify": {"classify"},
    "read": {"read"},
    "control": {"control"},
    "classify,control": {"classify", "control"},
    "classify, read, control": {"classify", "read", "control"},
}
# By the role that each needs; "any" is for any token.
METHODS = {
    "digits.v1.DigitsService": {
        "classify": "Classify ClassifyStream Read Explain",
        "read": "ListModels GetModel GetNetwork GetLearning",
    },
    "inference.GRPCInferenceService": {
        "any": "ServerLive ServerReady",
        "classify": "ModelInfer ModelStreamInfer",
        "read": "ModelReady ServerMetadata ModelMetadata ModelConfig ModelStatistics RepositoryIndex",
        "control": "RepositoryModelLoad RepositoryModelUnload SystemSharedMemoryStatus SystemSharedMemoryRegister "
        "SystemSharedMemoryUnregister CudaSharedMemoryStatus CudaSharedMemoryRegister CudaSharedMemoryUnregister "
        "TraceSetting LogSettings",
    },
    "grpc.health.v1.Health": {"any": "Check List Watch"},
    "grpc.reflection.v1alpha.ServerReflection": {"read": "ServerReflectionInfo"},
}
# The same methods as REST has them.
REST = {
    "ServerLive": "GET /v2/health/live",
    "ServerReady": "GET /v2/health/ready",
    "ServerMetadata": "GET /v2",
    "ModelReady": "GET /v2/models/m/ready",
    "ModelMetadata": "GET /v2/models/m",
    "ModelConfig": "GET /v2/models/m/config",
    "ModelStatistics": "GET /v2/models/stats",
    "ModelInfer": "POST /v2/models/m/infer",
    "RepositoryIndex": "POST /v2/repository/index",
    "RepositoryModelLoad": "POST /v2/repository/models/m/load",
    "RepositoryModelUnload": "POST /v2/repository/models/m/unload",
    "SystemSharedMemoryStatus": "GET /v2/systemsharedmemory/status",
    "SystemSharedMemoryRegister": "POST /v2/systemsharedmemory/region/r/register",
    "SystemSharedMemoryUnregister": "POST /v2/systemsharedmemory/unregister",
    "CudaSharedMemoryStatus": "GET /v2/cudasharedmemory/status",
    "CudaSharedMemoryRegister": "POST /v2/cudasharedmemory/region/r/register",
    "CudaSharedMemoryUnregister": "POST /v2/cudasharedmemory/unregister",
    "TraceSetting": "GET /v2/trace/setting",
    "LogSettings": "GET /v2/logging",
}
STREAMS = {"ClassifyStream", "ModelStreamInfer", "Watch", "ServerReflectionInfo"}
PAGES = {"/metrics": "read", "/healthz": "any", "/readyz": "any"}


def token_of(roles: str) -> str:
    return f"token:of:{roles.replace(', ', '+').replace(',', '-') or 'none'}:0123456789"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, start_for_module: StartServer) -> Server:
    file = tmp_path_factory.mktemp("roles") / "tokens"
    file.write_text("".join(f"{number}:{token_of(roles)} {roles}\n" for number, roles in enumerate(ROLES)))
    return start_for_module(f"--token-file={file}", "--allow-plaintext-tokens", "--no-open-health")


def needs() -> Iterator[tuple[str, str]]:
    """Each RPC's path, and the role that it needs."""
    for service, by_role in METHODS.items():
        for role, names in by_role.items():
            yield from ((f"/{service}/{name}", role) for name in names.split())


def called(channel: grpc.Channel, path: str, token: str) -> grpc.StatusCode:
    """How the call ends with an empty message."""
    try:
        if path.rpartition("/")[2] in STREAMS:
            call = channel.stream_stream(path)(iter([b""]), metadata=bearer(token), timeout=20)
            next(iter(call), None)
            call.cancel()
        else:
            channel.unary_unary(path)(b"", metadata=bearer(token), timeout=20)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_a_token_allows_what_its_roles_say_and_nothing_else(server: Server):
    """Every role with every method, by gRPC, and where HTTP has it by JSON, gRPC-Web and REST; and the pages."""
    wrong = []
    with server.channel() as channel:
        for (roles, mine), (path, role) in product(ROLES.items(), needs()):
            allowed, token = role in {"any", *mine}, token_of(roles)
            outcomes = {"gRPC": called(channel, path, token) is not grpc.StatusCode.PERMISSION_DENIED}
            if path.startswith("/digits.v1") and path.rpartition("/")[2] not in STREAMS:
                for media, body in (("application/json", b"{}"), ("application/grpc-web+proto", bytes(5))):
                    headers = {"authorization": f"Bearer {token}", "content_type": media}
                    status, told, answer = server.http(path, body, **headers)
                    refused = status == 403 or told.get("grpc-status") == "7" or b"grpc-status: 7" in answer
                    outcomes[media] = not refused
                    assert status != 401
            if path.startswith("/inference") and path.rpartition("/")[2] not in STREAMS:
                verb, place = REST[path.rpartition("/")[2]].split()
                status, _, _ = server.http(
                    place, b"{}" if verb == "POST" else None, verb, authorization=f"Bearer {token}"
                )
                outcomes["REST"] = status != 403
                assert status != 401
            wrong += [(door, roles, path) for door, outcome in outcomes.items() if outcome is not allowed]
    for (roles, mine), (path, role) in product(ROLES.items(), PAGES.items()):
        status, _, _ = server.http(path, authorization=f"Bearer {token_of(roles)}")
        if status != (200 if role in {"any", *mine} else 403):
            wrong.append(("page", roles, path))
    assert not wrong


def test_a_refusal_names_the_role(server: Server):
    """That is missing, and those that are there."""
    headers = {"authorization": f"Bearer {token_of('control')}", "content_type": "application/json"}
    _, _, answer = server.http("/digits.v1.DigitsService/ListModels", b"{}", **headers)
    told = json.loads(answer)
    assert told["code"] == "permission_denied"
    assert told["message"] == "the call needs the role read, and this token has control"


@pytest.mark.front("grpcio")
def test_the_table_above_has_every_method(front: str):
    """A new method has a role by decision, not by chance."""
    files = (digits_pb2, open_inference_pb2, health_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    there = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
    assert there == {path for path, _ in needs() if "reflection" not in path}


@pytest.mark.front("grpcio")  # either reads the file by the same code
def test_a_file_with_a_bad_role_changes_nothing(start_server: StartServer, tmp_path: Path):
    """A server does not start with it, and one that runs keeps the tokens that it has; the sentence has no token."""
    file = tmp_path / "tokens"
    flags = (f"--token-file={file}", "--allow-plaintext-tokens")
    file.write_text(f"anna:{token_of('read')} classify,reed\n")
    refused = start_server(*flags, wait=False)
    assert refused.process.wait(30) == 1
    refused.reader.join(5)
    [line] = refused.text
    assert "line 1: what follows the token is no list of roles, expected some of classify, read, control" in line
    file.write_text(f"anna:{token_of('read')} read\n")
    server = start_server(*flags)
    metrics = {"authorization": f"Bearer {token_of('read')}"}
    assert server.http("/metrics", **metrics)[0] == 200
    file.write_text(f"anna:{token_of('read')} classify control\n")
    while not any(line["event"] == "tokens stay as they were" for line in server.lines):
        assert server.http("/metrics", **metrics)[0] == 200
    assert "no list of roles" in server.wait_for("tokens stay as they were")["reason"]
    assert server.http("/metrics", **metrics)[0] == 200
    assert "0123456789" not in "".join(server.text + refused.text)
