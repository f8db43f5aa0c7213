"""`grpcurl` and its like need no proto file."""

import base64
import json
import shutil
import subprocess

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2 as reflection

from tests.support.server import Server, StartServer

SERVICES = [
    "digits.v1.DigitsService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
]


def ask(channel: grpc.Channel, version: str, request: reflection.ServerReflectionRequest):
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        response_deserializer=reflection.ServerReflectionResponse.FromString,
    )
    [answer] = call(iter([request.SerializeToString()]), timeout=10)
    return answer


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_the_services_are_listed_and_described(server: Server, version: str):
    """By both versions of the protocol."""
    with server.channel() as channel:
        answer = ask(channel, version, reflection.ServerReflectionRequest(list_services=""))
        assert [service.name for service in answer.list_services_response.service] == SERVICES
        for name in SERVICES:
            answer = ask(channel, version, reflection.ServerReflectionRequest(file_containing_symbol=name))
            files = [
                descriptor_pb2.FileDescriptorProto.FromString(file)
                for file in answer.file_descriptor_response.file_descriptor_proto
            ]
            described = [f"{file.package}.{service.name}" for file in files for service in file.service]
            assert name in described


def test_reflection_can_be_switched_off(start_server: StartServer):
    """Then it is as if it had never been there."""
    server = start_server("--no-reflection")
    with server.channel() as channel, pytest.raises(grpc.RpcError) as raised:
        ask(channel, "v1", reflection.ServerReflectionRequest(list_services=""))
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.extra("grpcurl")
def test_grpcurl_lists_describes_and_classifies(server: Server, mnist_test):
    """The real Go client, with nothing but the address."""

    def grpcurl(*arguments: str, data: str | None = None) -> str:
        flags = ["-plaintext", *(["-d", "@"] if data else [])]
        command = [str(shutil.which("grpcurl")), *flags, server.address, *arguments]
        return subprocess.run(command, input=data, capture_output=True, text=True, check=True).stdout

    assert grpcurl("list").split() == SERVICES
    assert "rpc Classify ( .digits.v1.ClassifyRequest )" in grpcurl("describe", "digits.v1.DigitsService")
    assert "bytes pixels = 3;" in grpcurl("describe", "digits.v1.ClassifyRequest")
    pixels, labels = mnist_test
    body = json.dumps({"pixels": base64.b64encode(pixels[0].tobytes()).decode()})
    [prediction] = json.loads(grpcurl("digits.v1.DigitsService/Classify", data=body))["predictions"]
    assert len(prediction["scores"]) == 10
    assert prediction["digit"] == labels[0]
