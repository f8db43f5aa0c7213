"""Limits of open files: each connection takes a file descriptor."""

import resource

from service.telemetry.logs import log

# Descriptors for everything but connections.
RESERVED = 128
# Used for "unlimited".
MAX_DESCRIPTORS = 2**20


def raise_limit() -> None:
    """Raise the limit of this process and its children to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections_within(wanted: int, ports: int) -> int:
    """Connections that fit on each of `ports` ports, at most `wanted`; a warning is logged if it is less than half."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = wanted if soft == resource.RLIM_INFINITY else max(1, (soft - RESERVED) // ports)
    if room < wanted // 2:
        log.warning("fewer connections than are allowed have room", max_connections=wanted, room=room, descriptors=soft)
    return min(wanted, room)
