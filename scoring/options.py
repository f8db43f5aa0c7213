"""Options of a job, held against what they may be before anything is done; each sentence names its option.

All raise `TypeError` for what is of another kind, `ValueError` for what is out of bounds.
"""

import os
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

from digits_client.channel import check_timeout


def read_path(name: str, value: Any, what: str = "a path") -> str:
    """A path as text."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(f"{name} is {value!r}, expected {what}")
    if not text or "\0" in text:
        raise ValueError(f"{name} is {text!r}, expected {what}")
    return text


def read_paths(name: str, value: Any) -> tuple[str, ...]:
    """One path or several, at least one."""
    if isinstance(value, str | os.PathLike):
        return (read_path(name, value),)
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {value!r}, expected a path or several")
    paths = tuple(read_path(f"{name}[{place}]", each) for place, each in enumerate(value))
    if not paths:
        raise ValueError(f"there are no {name}, expected at least one")
    return paths


def read_count(name: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number within its bounds."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}, expected a whole number")
    count = int(value)
    if count < least or (most is not None and count > most):
        raise ValueError(f"{name} is {count}, expected at least {least}" + (f" and at most {most}" if most else ""))
    return count


def read_seconds(name: str, value: Any) -> float:
    """A span of time that gRPC can count."""
    try:
        return check_timeout(value)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("the timeout", name, 1)) from None


def read_model(value: Any) -> tuple[str, str]:
    """NAME or NAME:VERSION, either of them empty or not."""
    check_text("model", value)
    name, _, version = value.partition(":")
    return name, version


def check_text(name: str, value: Any) -> None:
    """Text, even none."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, expected text")


def check_flag(name: str, value: Any) -> None:
    """True or false, and no text that only looks like it."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, expected True or False")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """One of a few words."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected {', '.join(choices[:-1])} or {choices[-1]}")
