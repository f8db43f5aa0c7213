"""Shortens messages and the values in them: a message of a reader has at most 300 characters."""

from collections.abc import Iterable
from itertools import accumulate

_LONGEST = 300
_LONGEST_PART = 40
_LONGEST_LIST = 100


def shorten(message: str) -> str:
    """The message, without its middle if it is too long, for example because of a long path."""
    half = (_LONGEST - 1) // 2
    return message if len(message) <= _LONGEST else f"{message[:half]}…{message[-half:]}"


def clip(text: object) -> str:
    """The beginning of a name or a value."""
    part = str(text)
    return part if len(part) <= _LONGEST_PART else f"{part[: _LONGEST_PART - 1]}…"


def clip_list(items: Iterable[object]) -> str:
    """The first items that fit, each shortened by `clip`, and the number of all items."""
    parts = [clip(item) for item in items]
    room = sum(end <= _LONGEST_LIST for end in accumulate(len(part) + 2 for part in parts))
    shown = parts[: max(1, room)]
    return ", ".join(shown) + (f", … ({len(parts)} in all)" if len(shown) < len(parts) else "") or "none"
