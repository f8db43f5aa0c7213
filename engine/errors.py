"""The errors of requests; `service.api.errors` maps them to statuses."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

# Characters of a client's text that an error repeats, and names that it lists.
WORD = 64
NAMES = 8


def quoted(text: str) -> str:
    """A client's text for an error: quoted, and cut, since errors travel in headers."""
    quoted = repr(text[: WORD + 1])
    return quoted if len(quoted) <= WORD + 2 else f"{quoted[: WORD + 1]}{quoted[0]}…"


def listed(names: Sequence[str], none: str = "none") -> str:
    """Existing names for an error: the first few and the number of others; `none` if there are none."""
    more = len(names) - NAMES
    return ", ".join(names[:NAMES]) + (f" and {more} more" if more > 0 else "") or none


class ServiceError(Exception):
    """Base of the errors whose message may reach the caller.

    An error of another process is rebuilt from its class and `args`, see `rebuild_error`.
    """


class NotFound(ServiceError):
    """There is no such model, version or health service."""


class InvalidInput(ServiceError):
    """The request is malformed: a wrong byte count, a pixel out of range, no image, too many, both kinds or none.

    Carries the name of the field and what was expected of it.
    """

    def __init__(self, field: str, description: str) -> None:
        super().__init__(field, description)
        self.field = field
        self.description = description

    def __str__(self) -> str:
        return f"{self.field}: {self.description}"


class QueueFull(ServiceError):
    """The queue is full, in images or in bytes; the same call may succeed after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, retry_after)
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


class RateExceeded(QueueFull):
    """The client makes more calls than it may; the same call may succeed after `retry_after` seconds."""


class NotAuthenticated(ServiceError):
    """The call carries no valid credentials."""


class NotPermitted(ServiceError):
    """The credentials are valid, and do not allow the call."""


class LimitReached(ServiceError):
    """The message is over the limit, or as many calls are open as are allowed; a retry does not help."""


class MessageTooLarge(ServiceError):
    """The message is larger than the server allows; a retry would be too."""


class MalformedCall(ServiceError):
    """The bytes are not a call in gRPC's framing."""


class DeadlinePassed(ServiceError):
    """The caller's deadline passed before the work began; it was dropped, not run."""


class NotReady(ServiceError):
    """The model is loading or failed its check, or the server is draining."""


class RunFailed(ServiceError):
    """onnxruntime failed; the cause is in the log, not in the answer."""


class AlreadyExists(ServiceError):
    """The name exists already."""


class NotAllowed(ServiceError):
    """The server's settings, or the state of a model, do not allow the call; a retry does not help."""


class NotSupported(ServiceError):
    """The protocol defines it; this server does not support it."""


def error_classes(base: type[ServiceError] = ServiceError) -> Iterable[type[ServiceError]]:
    """Every error class below `base`, however deep."""
    return chain.from_iterable((kind, *error_classes(kind)) for kind in base.__subclasses__())


def rebuild_error(name: str, *args: Any) -> ServiceError:
    """The error of the class `name` with these `args`; raises `LookupError` when there is no such class."""
    return {kind.__name__: kind for kind in error_classes()}[name](*args)
