"""What GNU's C library keeps of memory that was freed. Elsewhere, and inside Envoy with its own allocator, these do
nothing.
"""

import asyncio
import ctypes
from typing import Any

M_ARENA_MAX = -8
# Seconds between two times that free memory is returned to the system. It takes a few milliseconds.
TRIM_SECONDS = 10.0


def _function(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return lambda *arguments: None


_mallopt, _malloc_trim = _function("mallopt"), _function("malloc_trim")


def use_one_arena() -> None:
    """Keep one heap for all threads, from a time when there are none: each own heap would keep what it once held."""
    _mallopt(M_ARENA_MAX, 1)


def trim() -> None:
    """Return free memory to the system."""
    _malloc_trim(0)


async def keep_trimmed() -> None:
    """Return free memory now and again, until cancelled: large calls leave tens of megabytes."""
    while True:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(trim)
