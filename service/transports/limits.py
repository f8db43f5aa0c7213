"""How long a client may take to send a request."""

from engine.errors import DeadlinePassed

# Seconds for a whole request: an unfinished one holds memory and its place among the calls.
ARRIVAL_SECONDS = 30.0
# Seconds for its headers.
HEADERS_SECONDS = 10


def not_arrived() -> DeadlinePassed:
    """The error of a call whose request took longer."""
    return DeadlinePassed(f"the request had not arrived whole after {ARRIVAL_SECONDS:.0f} seconds")
