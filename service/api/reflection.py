"""`grpc.reflection.v1alpha` and `v1` by grpcio-reflection, so that `grpcurl` needs no proto file."""

from collections.abc import AsyncIterator, Iterable

from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2 as pb

from service.api.method import Context, Kind, Method


def methods(services: Iterable[str]) -> tuple[Method, ...]:
    """The RPCs that describe `services`; the two versions share their messages on the wire."""
    servicer = reflection.aio.ReflectionServicer((*services, reflection.SERVICE_NAME))

    def info(
        requests: AsyncIterator[pb.ServerReflectionRequest], context: Context
    ) -> AsyncIterator[pb.ServerReflectionResponse]:
        answers: AsyncIterator[pb.ServerReflectionResponse] = servicer.ServerReflectionInfo(requests, None)
        return answers

    return tuple(
        Method(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            pb.ServerReflectionRequest,
            pb.ServerReflectionResponse,
            Kind.STREAM,
            info,
        )
        for version in ("v1", "v1alpha")
    )
