"""Bytes of requests that are being received, wait or run."""

from engine.errors import DeadlinePassed, QueueFull

# How long a request may take to arrive: what is unfinished holds room and memory.
ARRIVAL_SECONDS = 30.0
# And how long its headers.
HEADERS_SECONDS = 10


def not_arrived() -> DeadlinePassed:
    """How a call ends that took longer."""
    return DeadlinePassed(f"the request had not arrived whole after {ARRIVAL_SECONDS:.0f} seconds")


class Pending:
    """Keeps them within a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0

    def admit(self, size: int, own: int = 0) -> None:
        """Count `size` bytes until they are released, more of a request that has `own` bytes here already.

        Raises `QueueFull` when they are too many; they are counted even so. A request that is alone always fits.
        """
        self._bytes += size
        if self._bytes > self._max_bytes and self._bytes > own + size:
            raise QueueFull(
                f"requests of {self._bytes - own - size} bytes are being answered, "
                f"there is no room for {own + size} more",
                retry_after=0.1,
            )

    def release(self, size: int) -> None:
        """They are done with."""
        self._bytes -= size
