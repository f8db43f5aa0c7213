"""Which role a caller needs for each method and page, the same on every transport."""

from enum import Enum


class Role(Enum):
    """What the owner of a token may do."""

    CLASSIFY = "classify"
    """Score images."""
    READ = "read"
    """Read about the server and its models: metadata, statistics, weights, metrics."""
    CONTROL = "control"
    """Load and unload models, and register shared memory."""


DEFAULT_ROLES = frozenset((Role.CLASSIFY, Role.READ))
"""Of a token whose line in the file names none."""

# What health checkers call: any token will do.
HEALTH_PATHS = (
    "/grpc.health.v1.Health/",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/healthz",
    "/readyz",
)

_CLASSIFY = {
    "/digits.v1.DigitsService/Classify",
    "/digits.v1.DigitsService/ClassifyStream",
    "/digits.v1.DigitsService/Read",
    "/digits.v1.DigitsService/Explain",
    "/inference.GRPCInferenceService/ModelInfer",
    "/inference.GRPCInferenceService/ModelStreamInfer",
}
_CONTROL = {
    "/inference.GRPCInferenceService/RepositoryModelLoad",
    "/inference.GRPCInferenceService/RepositoryModelUnload",
    "/inference.GRPCInferenceService/SystemSharedMemoryStatus",
    "/inference.GRPCInferenceService/SystemSharedMemoryRegister",
    "/inference.GRPCInferenceService/SystemSharedMemoryUnregister",
    "/inference.GRPCInferenceService/CudaSharedMemoryStatus",
    "/inference.GRPCInferenceService/CudaSharedMemoryRegister",
    "/inference.GRPCInferenceService/CudaSharedMemoryUnregister",
    "/inference.GRPCInferenceService/TraceSetting",
    "/inference.GRPCInferenceService/LogSettings",
}


def role_of(path: str) -> Role | None:
    """The role that the method or page at `path` needs; None where any token will do."""
    if path.startswith(HEALTH_PATHS):
        return None
    if path in _CLASSIFY:
        return Role.CLASSIFY
    return Role.CONTROL if path in _CONTROL else Role.READ


def read_roles(text: str) -> frozenset[Role]:
    """The roles in a list such as `classify,control`; those of no list are `DEFAULT_ROLES`. Raises `ValueError`."""
    return frozenset(Role(name.strip()) for name in text.split(",")) if text else DEFAULT_ROLES


def named(roles: frozenset[Role]) -> str:
    """The roles as a list."""
    return ", ".join(role.value for role in Role if role in roles)
