"""Sums of what several processes have counted."""

from collections.abc import Callable, Mapping
from operator import add
from typing import Any


def deep_sum(one: Any, other: Any, join: Callable[[Any, Any], Any] = add) -> Any:
    """`one` and `other` put together: numbers by `join`, mappings key by key, lists place by place.

    What only one of them has, is taken as it is.
    """
    if isinstance(one, Mapping):
        missing = {key: value for key, value in other.items() if key not in one}
        return {
            key: deep_sum(value, other[key], join) if key in other else value for key, value in one.items()
        } | missing
    if isinstance(one, list):
        return [deep_sum(mine, theirs, join) for mine, theirs in zip(one, other, strict=True)]
    return join(one, other)
