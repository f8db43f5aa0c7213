"""Numbers as tables of text hold them."""

from collections.abc import Sequence

_MISSING = frozenset(("", "na", "n/a", "<na>", "nan", "null", "none"))


def is_missing(text: str) -> bool:
    """Whether it stands for no value, as programs write one: nothing, NA, NaN, null, None."""
    return text.strip().lower() in _MISSING


def is_number(text: str) -> bool:
    """Whether `to_floats` takes it."""
    try:
        to_floats([text])
    except ValueError:
        return False
    return True


def to_floats(texts: Sequence[str]) -> list[float]:
    """Decimal numbers: with sign, point, exponent and blanks around or without. Raises `ValueError`."""
    if any("_" in text for text in texts):  # Python's own grouping of digits
        raise ValueError("no number has an underscore")
    return list(map(float, texts))
