"""The page of errors, from `service.api.errors`, `engine.errors` and `digits_client.errors`."""

from digits_client.errors import from_status

from docs.generate.markdown import code, head, table, text
from engine.errors import InvalidInput, QueueFull, ServiceError
from service.api.errors import CODES, translate


def page() -> str:
    """One row for each error that a call can end with, ordered as in the table of the service."""
    rows = []
    for kind, status in CODES.items():
        failure = translate(_example(kind), "")
        details = ", ".join(detail.DESCRIPTOR.full_name for detail in failure.details)
        raised = type(from_status(failure.status())).__name__
        rows.append((text(_sentence(kind)), code(status.name), code(details), code(raised)))
    rows.append(
        ("Anything else: a defect of the server. The cause is in its log.", code("INTERNAL"), "", "`ServerError`")
    )
    return "\n".join(
        (
            head("Errors", "`service/api/errors.py`"),
            "A call that fails ends with one of these statuses and one sentence. The sentence names the field, what "
            "was found and what was expected. Only an error with `google.rpc.RetryInfo` may be retried, after the "
            "delay that it states.\n",
            table(("what went wrong", "gRPC status", "details", "in `digits_client`"), rows),
            "JSON and gRPC-Web carry the same code, message and details. Their HTTP statuses are those of the "
            "[Connect protocol](https://connectrpc.com/docs/protocol#error-codes): 400 for `INVALID_ARGUMENT`, 401 for "
            "`UNAUTHENTICATED`, 404 for `NOT_FOUND`, 429 for `RESOURCE_EXHAUSTED`, 503 for `UNAVAILABLE`. A full queue "
            "also sends `retry-after`.\n",
        )
    )


def _example(kind: type[Exception]) -> Exception:
    if issubclass(kind, InvalidInput):
        return kind("pixels", "has 3 bytes")
    return kind("full", 1.0) if issubclass(kind, QueueFull) else kind("")


def _sentence(kind: type[Exception]) -> str:
    assert issubclass(kind, ServiceError)
    return (kind.__doc__ or "").strip().partition("\n")[0]
