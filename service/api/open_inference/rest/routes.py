"""Which RPC a path of REST means, and the fields of its request that stand in the path."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from engine.errors import InvalidInput, NotFound, quoted
from service.api.open_inference.rest.paths import PATHS

SERVICE = "/inference.GRPCInferenceService/"


@dataclass(frozen=True, slots=True)
class Route:
    """What a path means."""

    rpcs: Mapping[str, str]
    """The path of the RPC by the verb of HTTP."""
    fields: Mapping[str, str]
    """Fields of the RPC's request that stand in the path."""


_END = object()
"""The key of (RPCs by verb, names of the fields) in the tree. The key None stands for a part that is a value."""


def _tree() -> dict[Any, Any]:
    """The paths by their parts."""
    tree: dict[Any, Any] = {}
    for path, rpcs in PATHS.items():
        node, names = tree, []
        for part in path.split("/"):
            if part.startswith("{"):
                names.append(part[1:-1])
            node = node.setdefault(None if part.startswith("{") else part, {})
        node[_END] = {verb: SERVICE + rpc for verb, rpc in rpcs.items()}, names
    return tree


_TREE = _tree()


@lru_cache(256)
def find_route(path: str) -> Route:
    """What a path means, percent-encoded as it came. Raises `NotFound` and `InvalidInput`."""
    node, values = _TREE, []
    for part in path.removeprefix("/").split("/"):
        if part in node:
            node = node[part]
        elif None in node and part:
            node = node[None]
            values.append(_decode(part))
        else:
            raise NotFound(f"there is nothing at {quoted(path)}")
    if _END not in node:
        raise NotFound(f"there is nothing at {quoted(path)}")
    rpcs, names = node[_END]
    return Route(rpcs, dict(zip(names, values, strict=True)))


def _decode(part: str) -> str:
    try:
        name = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise InvalidInput("path", f"{quoted(part)} in it is not UTF-8") from None
    if name in (".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise InvalidInput("path", f"{quoted(part)} in it is no name of a model, a version or a region")
    return name
