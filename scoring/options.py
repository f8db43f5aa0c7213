"""The options of a job, checked once before anything is read or written.

A value of the wrong type raises `TypeError`, one out of bounds `ValueError`; both name the option.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, Self, get_args

from digits_client.connection.channel import check_share, check_timeout

from artifact.card import Variant
from scoring.scorers.in_process import ProviderName
from scoring.writers.write import FORMATS, Format, format_of

OnError = Literal["fail", "record"]

MAX_CALLS = 256
"""Upper bound of calls in flight to a server."""


@dataclass(frozen=True)
class JobOptions:
    """Options of a job under the names that `scoring.score` gives them; it documents what each of them means."""

    inputs: tuple[str, ...]
    output: Path
    format: Format
    model: str = ""
    server: str | None = None
    models: Path | None = None
    provider: ProviderName | None = None
    require_provider: bool = False
    variant: Variant = ""
    pixels: str | None = None
    labels: str | None = None
    top_k: int = 0
    read: bool = False
    reject_above: float | None = None
    chunk_rows: int | None = None
    resume: bool = False
    on_error: OnError | None = None
    calls: int = 4
    patience: float = 60.0
    shared_memory: str = "digits-"
    show: bool = False

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Check and convert the values of a caller. Raises `TypeError` or `ValueError`."""
        parsed = {name: _PARSERS[name](name, value) for name, value in values.items()}
        if parsed.get("format") is None:
            parsed["format"] = _format_by_name(parsed["output"])
        options = cls(**parsed)
        if options.server is not None:
            for name in ("models", "provider", "require_provider", "variant"):
                if getattr(options, name):
                    raise ValueError(f"{name} cannot be combined with server, which has its own models")
        if options.read:
            for name in ("pixels", "labels", "top_k"):
                if getattr(options, name):
                    raise ValueError(f"{name} cannot be combined with read, which takes pictures of several digits")
        return options

    @property
    def model_name(self) -> str:
        """NAME of `model`; empty for the default model."""
        return self.model.partition(":")[0]

    @property
    def model_version(self) -> str:
        """VERSION of `model`; empty for the newest version."""
        return self.model.partition(":")[2]


def parse_path(name: str, value: Any, expected: str = "a path") -> str:
    """A path as text."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(f"{name} is {value!r}, expected {expected}")
    if not text or "\0" in text:
        raise ValueError(f"{name} is {text!r}, expected {expected}")
    return text


def parse_paths(name: str, value: Any) -> tuple[str, ...]:
    """One path or several, at least one."""
    if isinstance(value, str | os.PathLike):
        return (parse_path(name, value),)
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is {value!r}, expected a path or several")
    paths = tuple(parse_path(f"{name}[{index}]", path) for index, path in enumerate(value))
    if not paths:
        raise ValueError(f"there are no {name}, expected at least one")
    return paths


def parse_count(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """A whole number within its bounds, both included."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}, expected a whole number")
    count = int(value)
    if count < minimum or (maximum is not None and count > maximum):
        bounds = f"at least {minimum}" + (f" and at most {maximum}" if maximum else "")
        raise ValueError(f"{name} is {count}, expected {bounds}")
    return count


def parse_seconds(name: str, value: Any) -> float:
    """A duration that gRPC accepts as a timeout."""
    try:
        return check_timeout(value)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("the timeout", name, 1)) from None


def parse_share(name: str, value: Any) -> float:
    """A number between 0 and 1, both excluded."""
    check_share(name, value)
    return float(value)


def parse_text(name: str, value: Any) -> str:
    """Text, which may be empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, expected text")
    return value


def parse_flag(name: str, value: Any) -> bool:
    """True or False; a text such as "no" is neither."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, expected True or False")
    return value


def parse_choice(name: str, value: Any, choices: Sequence[str]) -> Any:
    """One of a few words."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected {', '.join(choices[:-1])} or {choices[-1]}")
    return value


def _format_by_name(output: Path) -> Format:
    found = format_of(output)
    if found is None:
        raise ValueError(f"{output} has the suffix of no format, expected one of {', '.join(FORMATS)}, or format")
    return found


_Parser = Callable[[str, Any], Any]


def _optional(parser: _Parser) -> _Parser:
    return lambda name, value: None if value is None else parser(name, value)


def _one_of(choices: Sequence[str]) -> _Parser:
    return lambda name, value: parse_choice(name, value, choices)


_PARSERS: dict[str, _Parser] = {
    "inputs": parse_paths,
    "output": lambda name, value: Path(parse_path(name, value)),
    "format": _optional(_one_of(FORMATS)),
    "model": parse_text,
    "server": lambda _, value: value,  # the client checks the address
    "models": _optional(lambda name, value: Path(parse_path(name, value))),
    "provider": _optional(_one_of(get_args(ProviderName))),
    "require_provider": parse_flag,
    "variant": lambda name, value: parse_choice(name, value or "", get_args(Variant)),
    "pixels": _optional(parse_text),
    "labels": _optional(lambda name, value: parse_path(name, value, "a name or a path")),
    "top_k": lambda name, value: parse_count(name, value, 0),
    "read": parse_flag,
    "reject_above": _optional(parse_share),
    "chunk_rows": _optional(lambda name, value: parse_count(name, value, 1)),
    "resume": parse_flag,
    "on_error": _optional(_one_of(get_args(OnError))),
    "calls": lambda name, value: parse_count(name, value, 1, MAX_CALLS),
    "patience": parse_seconds,
    "shared_memory": parse_text,
    "show": parse_flag,
}
