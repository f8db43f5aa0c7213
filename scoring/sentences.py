"""What sentences say of the data, kept short: no sentence of a reader has more than 300 characters."""

from collections.abc import Iterable
from itertools import accumulate

_LONGEST = 300
_LONGEST_PART = 40
_LONGEST_LIST = 100


def brief(sentence: str) -> str:
    """The sentence, whose middle gives way where it is too long, as by a long path."""
    half = (_LONGEST - 1) // 2
    return sentence if len(sentence) <= _LONGEST else f"{sentence[:half]}…{sentence[-half:]}"


def cut(text: object) -> str:
    """The begin of a name or a value."""
    part = str(text)
    return part if len(part) <= _LONGEST_PART else f"{part[: _LONGEST_PART - 1]}…"


def some(items: Iterable[object]) -> str:
    """As many of them as have room, each `cut`, and how many there are."""
    parts = [cut(item) for item in items]
    room = sum(end <= _LONGEST_LIST for end in accumulate(len(part) + 2 for part in parts))
    shown = parts[: max(1, room)]
    return ", ".join(shown) + (f", … ({len(parts)} in all)" if len(shown) < len(parts) else "") or "none"
