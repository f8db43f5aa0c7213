"""The errors of a call, one class for each situation."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

Result = TypeVar("Result")


class DigitsError(Exception):
    """A call failed. The message is one sentence; `__cause__` is the error of gRPC, if there is one."""

    request_id = ""
    """What the server's log calls the failed call; empty if the server did not say."""


class InvalidInput(DigitsError):
    """The server rejected the images or another field of the request (INVALID_ARGUMENT)."""

    def __init__(self, message: str, violations: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.violations = violations
        """Pairs of a field of the request and what is wrong with it."""


class ModelNotFound(DigitsError):
    """The server has no such model or version (NOT_FOUND)."""


class Overloaded(DigitsError):
    """The queue of the server was full until the deadline (RESOURCE_EXHAUSTED with RetryInfo)."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which the server asks for a retry."""


class TooLarge(DigitsError):
    """The request or the response exceeds the largest message (RESOURCE_EXHAUSTED without RetryInfo)."""


class ClientClosed(DigitsError):
    """The client was closed before or during the call, or its process is a fork that gRPC does not survive."""

    def __init__(self, message: str = "the client is closed; make a new one") -> None:
        super().__init__(message)


class Unavailable(DigitsError):
    """The server is unreachable or draining, or the model is not ready (UNAVAILABLE)."""

    def __init__(self, message: str, *, interrupted: bool = False) -> None:
        super().__init__(message)
        self.interrupted = interrupted
        """Whether the call ended after the answer had begun; gRPC does not repeat such a call."""


class DeadlineExceeded(DigitsError):
    """No response came within the timeout (DEADLINE_EXCEEDED)."""


class NotAllowed(DigitsError):
    """Credentials are missing, invalid or insufficient (UNAUTHENTICATED, PERMISSION_DENIED)."""


class ServerError(DigitsError):
    """The server failed or sent an invalid response (INTERNAL and all other codes)."""


_CLASSES: dict[grpc.StatusCode, type[DigitsError]] = {
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TooLarge,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
}
# How gRPC's messages about a failed connection begin; they end with the reason.
_UNREACHED = ("failed to connect", "DNS resolution failed", "errors resolving", "Socket closed")
# What they contain if another kind of server listens: no HTTP/2, or HTTP/2 with an HTTP status.
_BY_HTTP2 = "Received http2 header with status"
_NO_GRPC = re.compile(f"SETTINGS frame as the first frame|http1.x server|missing selected ALPN|{_BY_HTTP2}")
_STATUS = re.compile(r"(?:HTTP status|with status:) (\d+)")
# Codes of HTTP statuses that a proxy in front of a gRPC server may send.
_BY_PROXY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
# TLS errors: their messages end with OK instead of the reason.
_TLS = re.compile(r"OPENSSL_internal:(\w+)(?:: ([a-z][^:\]]*))?")
# How the message begins if the connection was lost during a call; the reason follows.
_INTERRUPTED = re.compile(r"Stream removed \((.*)\)")
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def read_answer(data: bytes, response: Any, read: Callable[[Any], Result], place: str) -> Result:
    """The result of `read` for the message of type `response` in `data`. Raises `ServerError` for an invalid one."""
    try:
        return read(response.FromString(data))
    except (DecodeError, ValueError, LookupError) as error:
        raise ServerError(f"{place} answered what the client cannot read: {_sentence(str(error))}") from error


def from_rpc(error: Any, target: str, timeout: float) -> DigitsError:
    """The error for a `grpc.RpcError` of a call to `target` with this timeout in seconds."""
    code = error.code()
    message = _sentence(error.details() or code.name)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"no answer from {target} within {timeout:g} s"
    elif _NO_GRPC.search(message):
        status = _STATUS.search(message)
        said = f"answered with HTTP status {status[1]}" if status else "does not speak HTTP/2"
        if _BY_HTTP2 in message and code in _BY_PROXY:
            message = f"{target} {said}"
        else:
            code = grpc.StatusCode.UNKNOWN  # not UNAVAILABLE: a retry would not help
            message = f"{target} is no gRPC server: it {said}; a digits server takes gRPC on port 8001 by default"
    elif code == grpc.StatusCode.UNAVAILABLE and message.startswith(_UNREACHED):
        message = f"cannot reach {target}: {_reason(message)}"
    elif code == grpc.StatusCode.UNAVAILABLE and (lost := _INTERRUPTED.match(message)):
        return Unavailable(f"the connection to {target} was lost during the call: {lost[1]}", interrupted=True)
    elif code == grpc.StatusCode.UNAVAILABLE and error.initial_metadata():
        return Unavailable(message, interrupted=True)
    trailers = dict(error.trailing_metadata() or ())
    detailed = Status()
    try:
        detailed.ParseFromString(trailers.get("grpc-status-details-bin", b""))
    except DecodeError:
        detailed.Clear()
    translated = _translate(code, message, detailed)
    translated.request_id = trailers.get("x-request-id", "")
    return translated


def from_status(status: Status) -> DigitsError:
    """The error for the status of one stream message."""
    code = _BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    return _translate(code, _sentence(status.message or code.name), status)


def _translate(code: grpc.StatusCode, message: str, status: Status) -> DigitsError:
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        bad = _detail(status, BadRequest())
        return InvalidInput(message, tuple((each.field, each.description) for each in bad.field_violations))
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and any(each.Is(RetryInfo.DESCRIPTOR) for each in status.details):
        return Overloaded(message, _detail(status, RetryInfo()).retry_delay.ToNanoseconds() / 1e9)
    return _CLASSES.get(code, ServerError)(message)


def _detail(status: Status, kind: Any) -> Any:
    """The last detail of that kind; empty if none is readable, since code and message suffice."""
    for detail in status.details:
        with suppress(DecodeError):
            detail.Unpack(kind)
    return kind


def _reason(message: str) -> str:
    """Why there is no connection, taken from a message of gRPC."""
    if tls := _TLS.search(message):
        if tls[1] == "WRONG_VERSION_NUMBER":
            return "it does not speak TLS"
        return f"TLS failed, {tls[1].lower().replace('_', ' ')}" + (f": {tls[2]}" if tls[2] else "")
    return message.rsplit(": ", 1)[-1].rstrip("]")


def _sentence(details: str) -> str:
    return " ".join(details.split())
