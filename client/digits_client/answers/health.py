"""The two messages of grpc.health.v1, each with one field.

They are encoded by hand: generated classes would register names in protobuf's pool that other packages in the process
may register as well.
"""

from enum import IntEnum

from digits_protocol.wire import length_delimited

PATH = "/grpc.health.v1.Health/Check"


class Health(IntEnum):
    """`HealthCheckResponse.ServingStatus`; true when serving."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3

    def __bool__(self) -> bool:
        return self is Health.SERVING


def write_request(service: str) -> bytes:
    """`HealthCheckRequest{string service = 1}`, encoded."""
    return length_delimited(1, service.encode()) if service else b""


def read_response(data: bytes) -> Health:
    """Decode `HealthCheckResponse{ServingStatus status = 1}`; any other bytes are UNKNOWN."""
    status = data[1] if len(data) >= 2 and data[0] == 0x08 else 0
    return Health(status) if status in list(Health) else Health.UNKNOWN
