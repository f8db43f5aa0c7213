"""Bounds on JSON, which holds up all other calls of the process while it is read, wherever that is done."""

from engine.errors import InvalidInput

# Of one document: far more than the messages have. A picture as a `data:` URL counts as one.
MAX_NAMES = 100_000


def check_size(field: str, text: bytes, max_values: int) -> None:
    """Refuse JSON that holds many more names or values than a request needs. Raises `InvalidInput`."""
    for what, sign, most in (("names", b":", MAX_NAMES), ("values", b",", max_values)):
        if text.count(sign) > most:
            raise InvalidInput(field, f"has more than {most} {what} in its JSON")


def reason(error: Exception) -> str:
    """What a parser says is wrong, on one line and without its advice to programmers."""
    return " ".join(str(error).split()).partition("; use sys.")[0]
