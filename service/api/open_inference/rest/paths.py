"""The paths of REST, and the RPC that each one means by its verb."""

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
