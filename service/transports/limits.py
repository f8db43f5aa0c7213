"""Timeouts for requests to arrive."""

from engine.errors import DeadlinePassed

# Seconds for a whole request: an incomplete one holds memory and counts as a concurrent call.
ARRIVAL_SECONDS = 30.0
# Seconds for its headers.
HEADERS_SECONDS = 10


def not_arrived() -> DeadlinePassed:
    """The error of a call whose request took too long to arrive."""
    return DeadlinePassed(f"the request had not arrived whole after {ARRIVAL_SECONDS:.0f} seconds")
