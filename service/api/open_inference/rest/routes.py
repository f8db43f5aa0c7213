"""Which RPC a path of REST means, and the fields of its request that stand in the path."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from engine.errors import InvalidInput, NotFound, quoted

SERVICE = "/inference.GRPCInferenceService/"

_READ, _WRITE = "GET", "POST"
# Below a model, and below a version of it: verb, RPC, and the names that the RPC's request has for the two.
_OF_MODEL = {
    "": (_READ, "ModelMetadata", "name", "version"),
    "/ready": (_READ, "ModelReady", "name", "version"),
    "/infer": (_WRITE, "ModelInfer", "model_name", "model_version"),
    "/config": (_READ, "ModelConfig", "name", "version"),
    "/stats": (_READ, "ModelStatistics", "name", "version"),
}
_OF_REPOSITORY = {
    "/index": "RepositoryIndex",
    "/models/{model_name}/load": "RepositoryModelLoad",
    "/models/{model_name}/unload": "RepositoryModelUnload",
}
_OF_MEMORY = {
    "/status": (_READ, "Status"),
    "/region/{name}/status": (_READ, "Status"),
    "/region/{name}/register": (_WRITE, "Register"),
    "/region/{name}/unregister": (_WRITE, "Unregister"),
    "/unregister": (_WRITE, "Unregister"),
}
PATHS: dict[str, dict[str, str]] = {
    "v2": {_READ: "ServerMetadata"},
    "v2/health/live": {_READ: "ServerLive"},
    "v2/health/ready": {_READ: "ServerReady"},
    "v2/models/stats": {_READ: "ModelStatistics"},
    **{f"v2/models/{{{name}}}{end}": {verb: rpc} for end, (verb, rpc, name, _) in _OF_MODEL.items()},
    **{
        f"v2/models/{{{name}}}/versions/{{{version}}}{end}": {verb: rpc}
        for end, (verb, rpc, name, version) in _OF_MODEL.items()
    },
    **{
        f"v2/repository{repository}{end}": {_WRITE: rpc}
        for end, rpc in _OF_REPOSITORY.items()
        for repository in ("", "/{repository_name}")
    },
    **{
        f"v2/{kind}sharedmemory{end}": {verb: f"{kind.capitalize()}SharedMemory{action}"}
        for end, (verb, action) in _OF_MEMORY.items()
        for kind in ("system", "cuda")
    },
    "v2/trace/setting": {_READ: "TraceSetting", _WRITE: "TraceSetting"},
    "v2/models/{model_name}/trace/setting": {_READ: "TraceSetting", _WRITE: "TraceSetting"},
    "v2/logging": {_READ: "LogSettings", _WRITE: "LogSettings"},
}
"""The RPC by path and verb; `{field}` is a part of the path that is a field of the RPC's request."""


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
