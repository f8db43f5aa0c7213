"""The one table from what went wrong to what the client is told."""

from dataclasses import dataclass, field

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from engine.errors import (
    AlreadyExists,
    DeadlinePassed,
    InvalidInput,
    LimitReached,
    MalformedCall,
    MessageTooLarge,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    NotReady,
    NotSupported,
    QueueFull,
    RateExceeded,
    RunFailed,
)
from service.telemetry.logs import log

# Characters of a sentence that a client is told; a longer one repeats something that the client wrote.
MAX_TEXT = 300

CODES: dict[type[Exception], grpc.StatusCode] = {
    NotFound: grpc.StatusCode.NOT_FOUND,
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    RateExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NotAuthenticated: grpc.StatusCode.UNAUTHENTICATED,
    LimitReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
    MessageTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    MalformedCall: grpc.StatusCode.INTERNAL,
    DeadlinePassed: grpc.StatusCode.DEADLINE_EXCEEDED,
    NotReady: grpc.StatusCode.UNAVAILABLE,
    RunFailed: grpc.StatusCode.INTERNAL,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    NotAllowed: grpc.StatusCode.FAILED_PRECONDITION,
    NotSupported: grpc.StatusCode.UNIMPLEMENTED,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call ends that did not go well."""

    code: grpc.StatusCode
    message: str
    details: tuple[Message, ...] = ()
    trailers: dict[str, str | bytes] = field(default_factory=dict)

    def status(self) -> Status:
        """The same as a message."""
        packed = []
        for detail in self.details:
            any_ = Any()
            any_.Pack(detail)
            packed.append(any_)
        return Status(code=self.code.value[0], message=self.message, details=packed)

    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The trailers that go with it, `grpc-status-details-bin` among them where there are details."""
        trailers = dict(self.trailers)
        if self.details:
            trailers["grpc-status-details-bin"] = self.status().SerializeToString()
        return tuple(trailers.items())


_NAMES: dict[str, str] = {kind.__name__: code.name for kind, code in CODES.items()} | {
    "Cancelled": "CANCELLED",
    "Expired": "DEADLINE_EXCEEDED",
    **{code.name: code.name for code in grpc.StatusCode},  # of calls that a front refused by itself
}


def code_name(reason: str) -> str:
    """The status, such as `NOT_FOUND`, of calls that `engine.statistics` counts as failed for `reason`."""
    return _NAMES.get(reason, "INTERNAL")


def translate(error: Exception, path: str) -> Failure:
    """How a call of `path` ends that raised `error`.

    What the table does not know is logged in full and answered as INTERNAL with no detail.
    """
    code = CODES.get(type(error))
    if code is None:
        log.error("call failed", method=path, exc_info=error)
        return Failure(grpc.StatusCode.INTERNAL, "internal error")
    message = cut(str(error))
    if isinstance(error, InvalidInput):
        violation = BadRequest.FieldViolation(field=cut(error.field), description=cut(error.description))
        return Failure(code, message, (BadRequest(field_violations=[violation]),))
    if isinstance(error, QueueFull):
        milliseconds = max(round(error.retry_after * 1000), 1)
        info = RetryInfo()
        info.retry_delay.FromMilliseconds(milliseconds)
        return Failure(code, message, (info,), {"grpc-retry-pushback-ms": str(milliseconds)})
    return Failure(code, message)


def cut(text: str) -> str:
    """Errors travel in headers, which have a limit of 8 KiB; non-ASCII letters take nine bytes each."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
