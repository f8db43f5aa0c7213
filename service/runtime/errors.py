"""What can go wrong with a request; `service.api.errors` says which status each one becomes."""

from typing import Any


def shown(text: str) -> str:
    """What a client wrote, as an error may repeat it: quoted, and cut, since errors travel in headers."""
    return repr(text) if len(text) <= 64 else f"{text[:64]!r}…"


class ServiceError(Exception):
    """Base of the errors whose sentence may be told to the caller.

    One that another process raised is made again from its class and `args`, see `again`.
    """


class NotFound(ServiceError):
    """There is no such model, version or health service."""


class InvalidInput(ServiceError):
    """The request is malformed; carries the name of the field and what was expected of it."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(field, description)
        self.field = field
        self.description = description

    def __str__(self) -> str:
        return f"{self.field}: {self.description}"


class QueueFull(ServiceError):
    """The queue has no room; the same call may succeed after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, retry_after)
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


class RateExceeded(QueueFull):
    """The client makes more calls than it may; the same call may succeed after `retry_after` seconds."""


class NotAuthenticated(ServiceError):
    """The call carries no credentials, or none that are known."""


class LimitReached(ServiceError):
    """The request is over a limit of the server, and would be so again."""


class MalformedCall(ServiceError):
    """What came is not a call as gRPC frames one."""


class DeadlinePassed(ServiceError):
    """The caller's deadline passed before the work began; it was dropped, not run."""


class NotReady(ServiceError):
    """The model is loading or failed its check, or the server is draining."""


class RunFailed(ServiceError):
    """onnxruntime failed; the cause is in the log, not in the answer."""


class NotAllowed(ServiceError):
    """The server's settings, or the state of a model, do not allow what was asked; it will not help to repeat it."""


class NotSupported(ServiceError):
    """The protocol has it, this server has not."""


def again(name: str, *args: Any) -> ServiceError:
    """The error of the class `name` with these `args`; raises `LookupError` when there is no such class."""
    return {kind.__name__: kind for kind in ServiceError.__subclasses__()}[name](*args)
